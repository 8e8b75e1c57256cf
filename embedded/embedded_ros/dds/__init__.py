# SPDX-License-Identifier: Apache-2.0
"""ROS 2 conventions over Eclipse Cyclone DDS."""
