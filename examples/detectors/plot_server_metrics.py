# SPDX-License-Identifier: MIT
"""
Server metrics: the Numenta Anomaly Benchmark
=============================================

Three metrics of cloud servers, with one channel each and a row every five minutes. The
first 15 % of the rows are for training. Labels are windows around incidents.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import LSTMAutoencoderDetector
from tsanomaly.datasets import load_nab
from tsanomaly.metrics import event_precision_recall_fscore, nab_score, vus_pr
from tsanomaly.plotting import AnomalyDisplay

NAMES = [
    "rds_cpu_utilization_cc0c53",
    "ec2_cpu_utilization_24ae8d",
    "ec2_network_in_5abac7",
]

# %%
# Few training rows and a single channel make this hard for any detector. The settings
# are the same for all three series.
rows, fitted = [], {}
for name in NAMES:
    series = load_nab(f"realAWSCloudwatch/{name}")
    train = series.frame[series.train_mask]
    detector = make_pipeline(
        StandardScaler(), LSTMAutoencoderDetector(window_size=24, random_state=0)
    ).fit(train)
    test, y_test = series.frame[~series.train_mask], series.target[~series.train_mask]
    flagged = (detector.predict(test) == -1).astype(int)
    # The benchmark penalises every flagged row, so keep only the first row of each run.
    first = np.flatnonzero(np.diff(flagged, prepend=0) == 1)
    alarms = np.zeros_like(flagged)
    alarms[first] = 1
    precision, recall, _ = event_precision_recall_fscore(y_test, flagged)
    rows.append(
        {
            "series": name,
            "VUS-PR": vus_pr(y_test, -detector.score_samples(test)),
            "events found": recall,
            "true alarms": precision,
            "NAB score": nab_score(y_test, alarms, probation=0),
            "rows flagged": flagged.mean(),
        }
    )
    fitted[name] = detector, test, y_test
print(pd.DataFrame(rows).round(2).to_string(index=False))

# %%
# A label window is a tolerance of some hours, not the extent of the incident, so most
# of its rows are normal. Metrics by row are therefore low, even if every incident is
# found. In the first plot, the load rises to a level that no training row has, and
# stays there. All later rows are flagged. Only the operator knows whether that is a
# fault or the new normal. In the second plot, a daily job is flagged every time,
# because the two days of training rows hardly contain it.
for name in NAMES[:2]:
    display = AnomalyDisplay.from_estimator(*fitted[name])
    display.figure_.suptitle(name, fontsize="medium")

# %%
# If normal operation changes, set the threshold on later normal rows, or train again.
plt.show()
