# SPDX-License-Identifier: MIT
"""
A server machine: when, and in which metric
===========================================

38 metrics of a server, one row per minute. The detector is trained on two weeks that
are assumed to be normal, and scores the following two weeks, in which incident reports
label 13 events.
"""

# %%
# Train on the first half. The scaler is part of the pipeline, so that it is fitted on
# the training rows only.
import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import LSTMAutoencoderDetector
from tsanomaly.datasets import load_smd
from tsanomaly.metrics import channel_hit_rate
from tsanomaly.plotting import AnomalyDisplay, ContributionDisplay

machine = load_smd()
train, test = machine.frame[machine.train_mask], machine.frame[~machine.train_mask]
y_test = machine.target[~machine.train_mask]
pipeline = make_pipeline(StandardScaler(), LSTMAutoencoderDetector(random_state=0))
pipeline.fit(train)

# %%
# The metrics with the largest share of the errors of flagged rows:
flagged = pipeline.predict(test) == -1
errors = pipeline.transform(test)
share = errors[flagged].sum(axis=0) / errors[flagged].sum()
worst = np.argsort(-share)[:3]
for channel in worst:
    print(f"{test.columns[channel]}: {share[channel]:.0%} of the error")

# %%
# Incident reports name the metrics behind each event. Rank all metrics by their mean
# error over the event. The hit rate is the share of the reported metrics among the top
# ones, where as many are taken as were reported. Guessing also gets some right.
event_errors = np.array(
    [
        errors[(test.index >= event.start) & (test.index <= event.end)].mean(axis=0)
        for event in machine.events.itertuples()
    ]
)
ranking = pd.DataFrame(event_errors, columns=test.columns)
for event, ranked in zip(machine.events.itertuples(), ranking.to_numpy(), strict=True):
    first = test.columns[np.argsort(-ranked)[:3]].tolist()
    hits = len({*first} & {*event.channels})
    print(f"{event.start} to {event.end}: {', '.join(first)}; {hits} of them reported")
print(f"hit rate: {channel_hit_rate(machine.events['channels'], ranking):.2f}")
print(f"guessing: {channel_hit_rate(machine.events['channels'], 0 * ranking):.2f}")

# %%
# The errors of the event with the largest error, by channel and row.
event = machine.events.loc[ranking.mean(axis=1).idxmax()]
near = test.loc[event.start - 60 : event.end + 60]
ContributionDisplay.from_estimator(pipeline, near, y_test[test.index.isin(near.index)])

# %%
# Hits, misses and false alarms.
AnomalyDisplay.from_estimator(pipeline, test, y_test, channels=worst.tolist())
