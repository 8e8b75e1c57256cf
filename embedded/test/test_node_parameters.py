# SPDX-License-Identifier: Apache-2.0
import pytest
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterEvent,
    ParameterType,
    SetParametersResult,
)
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)
from rclpy.parameter import Parameter


def test_declare_get_set(make_node):
    node = make_node('a')
    assert node.declare_parameter('rate', 5.0).value == 5.0
    assert node.get_parameter('rate').value == 5.0
    (result,) = node.set_parameters([Parameter('rate', value=6.0)])
    assert result.successful
    assert node.get_parameter('rate').value == 6.0
    with pytest.raises(ParameterAlreadyDeclaredException):
        node.declare_parameter('rate', 1.0)
    with pytest.raises(ParameterNotDeclaredException):
        node.get_parameter('nonsense')
    with pytest.raises(ParameterNotDeclaredException):
        node.set_parameters([Parameter('nonsense', value=1)])


def test_a_type_once_declared_stays(make_node):
    node = make_node('a')
    node.declare_parameter('rate', 5.0)
    (result,) = node.set_parameters([Parameter('rate', value=6)])
    assert not result.successful
    assert 'Wrong parameter type' in result.reason
    node.declare_parameter('free', 1, ParameterDescriptor(dynamic_typing=True))
    assert node.set_parameters([Parameter('free', value='text')])[0].successful


def test_a_parameter_may_be_declared_by_type_only(make_node):
    node = make_node('a')
    node.declare_parameter('cameras', Parameter.Type.STRING_ARRAY)
    with pytest.raises(ParameterUninitializedException):
        node.get_parameter('cameras')
    assert node.set_parameters([Parameter('cameras', value=['left'])])[0].successful
    assert node.get_parameter('cameras').value == ['left']
    with pytest.raises(ValueError):
        node.declare_parameter('nothing', None, ParameterDescriptor())


@pytest.mark.parametrize(
    ('descriptor', 'good', 'bad', 'reason'),
    [
        (
            ParameterDescriptor(
                floating_point_range=[FloatingPointRange(from_value=0.0, to_value=1.0)]
            ),
            1.0,
            1.5,
            'out of range',
        ),
        (
            ParameterDescriptor(integer_range=[IntegerRange(from_value=0, to_value=10, step=5)]),
            5,
            4,
            'not a valid step',
        ),
        (ParameterDescriptor(read_only=True), None, 4, 'read-only'),
    ],
)
def test_descriptors_are_obeyed(make_node, descriptor, good, bad, reason):
    node = make_node('a')
    node.declare_parameter('p', type(bad)(0), descriptor)
    if good is not None:
        assert node.set_parameters([Parameter('p', value=good)])[0].successful
    (result,) = node.set_parameters([Parameter('p', value=bad)])
    assert not result.successful
    assert reason in result.reason
    assert node.describe_parameter('p').name == 'p'


def test_callbacks_refuse(make_node):
    node = make_node('a')
    node.declare_parameter('p', 1)

    def refuse(parameters):
        return SetParametersResult(successful=parameters[0].value < 5, reason='too large')

    node.add_on_set_parameters_callback(refuse)
    assert node.set_parameters([Parameter('p', value=2)])[0].successful
    (result,) = node.set_parameters([Parameter('p', value=7)])
    assert (result.successful, result.reason) == (False, 'too large')
    with pytest.raises(InvalidParameterValueException, match='too large'):
        node.declare_parameter('q', 9)


def test_setting_atomically_is_all_or_nothing(make_node):
    node = make_node('a')
    node.declare_parameters('group', [('one', 1), ('two', 2.0)])
    result = node.set_parameters_atomically(
        [Parameter('group.one', value=10), Parameter('group.two', value='wrong')]
    )
    assert not result.successful
    assert node.get_parameter('group.one').value == 1
    assert node.get_parameter('group.two').value == 2.0


def test_overrides_replace_defaults_but_not_types(make_node):
    node = make_node(
        'a', parameter_overrides=[Parameter('rate', value=2.0), Parameter('count', value='x')]
    )
    assert node.declare_parameter('rate', 1.0).value == 2.0
    with pytest.raises(InvalidParameterTypeException, match=r"of type 'STRING'.*'INTEGER'"):
        node.declare_parameter('count', 1)


def call(node, executor, srv_type, name, **request):
    client = node.create_client(srv_type, name)
    assert client.wait_for_service(5.0)
    future = client.call_async(srv_type.Request(**request))
    executor.spin_until_future_complete(future, 5.0)
    return future.result()


def test_parameters_over_services(make_node, executor):
    node, caller = make_node('server'), make_node('caller')
    node.declare_parameter('rate', 5.0, ParameterDescriptor(description='how often'))
    node.declare_parameter('accept.min', 1)
    names = call(caller, executor, ListParameters, '/server/list_parameters').result
    assert {'rate', 'accept.min', 'use_sim_time'} <= set(names.names)
    assert names.prefixes == ['accept']
    (value,) = call(
        caller, executor, GetParameters, '/server/get_parameters', names=['rate']
    ).values
    assert (value.type, value.double_value) == (ParameterType.PARAMETER_DOUBLE, 5.0)
    (descriptor,) = call(
        caller, executor, DescribeParameters, '/server/describe_parameters', names=['rate']
    ).descriptors
    assert (descriptor.name, descriptor.description) == ('rate', 'how often')
    types = call(
        caller,
        executor,
        GetParameterTypes,
        '/server/get_parameter_types',
        names=['accept.min', 'rate'],
    ).types
    assert list(types) == [ParameterType.PARAMETER_INTEGER, ParameterType.PARAMETER_DOUBLE]
    results = call(
        caller,
        executor,
        SetParameters,
        '/server/set_parameters',
        parameters=[
            Parameter('rate', value=7.0).to_parameter_msg(),
            Parameter('nonsense', value=7.0).to_parameter_msg(),
        ],
    ).results
    assert [r.successful for r in results] == [True, False]
    assert 'undeclared' in results[1].reason
    assert node.get_parameter('rate').value == 7.0
    result = call(
        caller,
        executor,
        SetParametersAtomically,
        '/server/set_parameters_atomically',
        parameters=[Parameter('rate', value='x').to_parameter_msg()],
    ).result
    assert not result.successful
    assert not call(
        caller, executor, GetParameters, '/server/get_parameters', names=['nonsense']
    ).values


def test_changes_are_announced(make_node, spin_until):
    node, listener, events = make_node('a', namespace='ns'), make_node('b'), []
    listener.create_subscription(ParameterEvent, '/parameter_events', events.append, 10)
    assert spin_until(lambda: listener.count_publishers('/parameter_events') == 2)
    node.declare_parameter('p', 1)
    node.set_parameters([Parameter('p', value=2)])
    assert spin_until(lambda: len(events) == 2)
    assert [e.node for e in events] == ['/ns/a', '/ns/a']
    assert events[0].new_parameters[0].name == 'p'
    assert events[1].changed_parameters[0].value.integer_value == 2
