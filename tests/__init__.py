# SPDX-License-Identifier: MIT
import os

# Workers share the cores: linear algebra of each in as many threads as there are cores
# takes more than twice as long. It reads the variable when it is first imported.
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    threads = max((os.cpu_count() or 1) // int(workers), 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
