# SPDX-License-Identifier: MIT
"""Watch machines live: readings in, alarms out.

`Watch` scores readings and keeps the state, independently of the source. Around it are
sources (lines, growing files, MQTT), receivers of alarms, and an HTTP server.
"""
