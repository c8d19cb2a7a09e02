# SPDX-License-Identifier: MIT
import os

# Workers share the cores. If each computes in as many threads as there are cores, tests
# on PyTorch take more than twice as long, those on jax little longer. Libraries of
# linear algebra read the variable when they are first imported.
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    threads = max((os.cpu_count() or 1) // int(workers), 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
