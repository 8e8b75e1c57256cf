# SPDX-License-Identifier: Apache-2.0
# Nothing but this line: rosidl installs the generated dsac_ros.msg beside these modules.
__path__ = __import__('pkgutil').extend_path(__path__, __name__)
