# SPDX-License-Identifier: MIT
"""
A server machine: when, and in which metric
===========================================

38 metrics of one server, one row a minute. The network learns two weeks that are
assumed to be normal, and scores the two weeks that follow, in which incident reports
label 13 events.
"""

# %%
# Train on the first half. Scaling belongs into the pipeline, so that it is learned from
# the training rows alone.
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
# Which metrics do the flagged rows owe their errors to?
flagged = pipeline.predict(test) == -1
errors = pipeline.transform(test)
share = errors[flagged].sum(axis=0) / errors[flagged].sum()
worst = np.argsort(-share)[:3]
for channel in worst:
    print(f"{test.columns[channel]}: {share[channel]:.0%} of the error")

# %%
# Incident reports name the metrics behind each event. The mean error over its rows
# ranks all metrics; how many of the reported ones are among the first, as many as there
# are? Guessing gets some right, too.
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
# The channels of the event that the network finds worst, row by row.
event = machine.events.loc[ranking.mean(axis=1).idxmax()]
near = test.loc[event.start - 60 : event.end + 60]
ContributionDisplay.from_estimator(pipeline, near, y_test[test.index.isin(near.index)])

# %%
# Events that the detector found, missed, and alarms without an event.
AnomalyDisplay.from_estimator(pipeline, test, y_test, channels=worst.tolist())
