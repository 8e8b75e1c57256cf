# SPDX-License-Identifier: Apache-2.0
"""/diagnostics of a mapper on the graph."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from robot import Robot, camera_info, texture
from std_srvs.srv import Trigger


def values(status):
    return {one.key: one.value for one in status.values}


def test_a_mapper_tells_its_health(tmp_path):
    robot = Robot('mapper', dataset=str(tmp_path / 'drive'), pose_timeout=0.1, input_timeout=1.0)
    heard = robot.listen(DiagnosticArray, '/diagnostics')

    def wait_for(name, condition):
        def find():
            statuses = heard[-1].status if heard else []
            return [one for one in statuses if one.name == name and condition(one)]

        assert robot.spin(find, 60.0), (heard[-1:], robot.process.output)
        return find()[0]

    try:
        silent = wait_for('dsac_mapper: input', lambda one: 'no images' in one.message)
        assert silent.level == DiagnosticStatus.STALE
        assert [one.name for one in heard[-1].status] == [
            f'dsac_mapper: {part}' for part in ('input', 'recording', 'training')
        ]
        robot.call(Trigger, 'dsac_mapper/start', Trigger.Request())

        def seen():
            robot.show(texture(1), camera_info())
            return any(
                values(one).get('encoding') == 'mono8'
                for one in (heard[-1].status if heard else [])
            )

        assert robot.spin(seen, 30.0)
        # no TF: no image has a pose
        refused = wait_for(
            'dsac_mapper: recording', lambda one: one.level == DiagnosticStatus.WARN
        )
        assert 'refused' in refused.message and int(values(refused)['refused for their pose']) > 0
        assert robot.change_state(Transition.TRANSITION_DEACTIVATE)
        for name in ('input', 'recording', 'training'):
            wait_for(f'dsac_mapper: {name}', lambda one: one.level == DiagnosticStatus.STALE)
    finally:
        robot.close()
