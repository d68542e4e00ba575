"""A function of ministack that has another signature than its contract is not replaced. No emulator is needed."""

import unittest
from unittest import mock

from ministack.services.cloudformation import provisioners

from overlay import patched, start
from overlay.patched import ContractBroken
from overlay.tests.wrong_arity import PLANTED


class TheInstalledRelease(unittest.TestCase):
    def test_keeps_every_contract(self) -> None:
        patched.check()

    def test_has_each_patched_function(self) -> None:
        places = [place for one in patched.declared() for place, _ in one.functions()]
        self.assertGreater(len(places), 300)
        self.assertEqual(len(places), len(set(places)))


class AnotherRelease(unittest.TestCase):
    """Each test puts a function of another signature in the place of one of ministack."""

    def refused(self, *said: str) -> None:
        with self.assertRaises(ContractBroken) as caught:
            patched.check()
        for one in said:
            self.assertIn(one, str(caught.exception))

    def test_with_an_argument_more_is_refused(self) -> None:
        handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
        with mock.patch.dict(handlers, {"update": lambda physical_id, old, new, stack_name, logical_id, more: None}):
            self.refused(patched.UPDATE_FUNCTION.name, "'update'", "logical_id, more)", "logical_id=None, /)")

    def test_with_an_argument_less_is_refused(self) -> None:
        handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
        with mock.patch.dict(handlers, {"update": lambda physical_id, old_props, new_props, stack_name: None}):
            self.refused("'update'", "def (physical_id, old_props, new_props, stack_name),")

    def test_with_an_argument_of_another_name_is_refused(self) -> None:
        with mock.patch("ministack.services.codebuild._start_build", lambda body: None):
            self.refused("ministack.services.codebuild._start_build", "def (body)", "def (data)")

    def test_with_an_argument_that_became_optional_is_refused(self) -> None:
        with mock.patch("ministack.services.codebuild._start_build", lambda data=None: None):
            self.refused("def (data=None)")

    def test_that_answers_at_once_where_it_was_awaited_is_refused(self) -> None:
        with mock.patch("ministack.app.app", lambda scope, receive, send: None):
            self.refused("ministack.app.app is def (scope", "async def (scope")

    def test_is_refused_with_a_sentence_that_says_what_to_do(self) -> None:
        broken = mock.patch("ministack.services.codebuild._stop_build", lambda: None)
        with broken, self.assertRaises(SystemExit) as caught:
            start.check_contracts()
        self.assertIn("ministack.services.codebuild._stop_build is def ()", str(caught.exception.code))
        self.assertIn("delete the emulator-venv folder", str(caught.exception.code))


class PlantedPatches(unittest.TestCase):
    """The patches that a type checker must refuse (``wrong_arity``) would fail in the emulator."""

    def test_cannot_be_called_as_ministack_calls_them(self) -> None:
        for patch, arguments in PLANTED:
            with self.subTest(patch.__name__), self.assertRaises(TypeError):
                patch(*arguments)
