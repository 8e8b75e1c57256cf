# SPDX-License-Identifier: Apache-2.0
"""A node's attributes are its own: rclpy keeps its state in private ones of the same object."""

from __future__ import annotations

import ast
import inspect

import pytest
from rclpy.lifecycle import LifecycleNode

from dsac_ros.nodes import lifecycle, mapper_node, relocalizer_node

# Those of rclpy in Humble to Rolling; one of them replaced, its executor dies at the first spin.
OF_RCLPY = {
    *('_allow_undeclared_parameters', '_clients', '_clock', '_context', '_default_callback_group'),
    *('_descriptors', '_guards', '_logger', '_on_set_parameters_callbacks', '_parameters'),
    *('_parameter_event_publisher', '_parameter_overrides', '_parameter_service', '_publishers'),
    *('_post_set_parameters_callbacks', '_pre_set_parameters_callbacks', '_rate_group'),
    *('_services', '_subscriptions', '_time_source', '_timers', '_type_description_service'),
    *('_state_machine', '_callbacks', '_managed_entities', '_waitables', '_logger_service'),
}


@pytest.mark.parametrize('module', [lifecycle, mapper_node, relocalizer_node])
def test_no_attribute_hides_one_of_rclpy(module, make_node):
    base = make_node('plain', LifecycleNode)
    assigned = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == 'self'
    }
    assert assigned
    assert not assigned & (OF_RCLPY | set(vars(base)))
