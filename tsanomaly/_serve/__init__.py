# SPDX-License-Identifier: MIT
"""Machines that are watched live: readings in, alarms out.

`Watch` scores readings and remembers; it knows nothing of where they come from. Around
it are sources (lines, files that grow, MQTT), what alarms are handed to, and a server
for HTTP.
"""
