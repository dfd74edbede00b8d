"""What can go wrong, and the tests that show what happens then: each fault has some, and each of them exists."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CLIENT, CONVERSE, LOOK_UP = "carrier/test_client.py", "carrier/test_converse.py", "carrier/test_look_up.py"
WIRE, SETTLE, LIMITS, AUTH = (
    "carrier/test_wire.py",
    "carrier/test_settle.py",
    "carrier/test_limits.py",
    "carrier/test_auth.py",
)
FAULTS, RUN, FIRST, SUPERSEDED, SUBMIT, FOLDER = (
    "engine/test_faults.py",
    "engine/test_run.py",
    "engine/test_first.py",
    "engine/test_superseded.py",
    "engine/test_submit.py",
    "engine/test_folder.py",
)
FILE, RECORD, STATES, CLI = "ledger/test_file.py", "ledger/test_record.py", "ledger/test_states.py", "test_cli.py"

#: (what goes wrong, where it is shown what happens then: a file below tests/ and names in it)
MATRIX: list[tuple[str, dict[str, str]]] = [
    (
        "name not resolved",
        {CLIENT: "test_a_name_that_does_not_resolve_means_not_sent", FAULTS: "test_out_of_reach_for_an_hour"},
    ),
    (
        "connection refused, or not made in time",
        {
            CLIENT: "test_a_refused_connection_means_not_sent test_a_connection_that_is_not_made_in_time_means_not_sent",
            CONVERSE: "test_nobody_is_there",
            FAULTS: "test_out_of_reach_for_an_hour",
        },
    ),
    (
        "TLS that cannot be trusted",
        {
            CLIENT: "test_a_certificate_that_is_not_right_means_not_sent test_a_certificate_that_signed_itself_means_not_sent "
            "test_a_server_with_old_tls_means_not_sent test_old_tls_is_not_spoken test_a_server_without_tls_means_not_sent"
        },
    ),
    ("connection lost before anything was done", {CONVERSE: "test_a_request_that_was_never_executed"}),
    (
        "connection lost after it was done",
        {
            CONVERSE: "test_a_lost_answer_of_an_executed_order",
            CLIENT: "test_a_write_is_never_sent_again_by_itself",
            LOOK_UP: "test_killed_after_the_carrier_executed_it",
        },
    ),
    (
        "no answer at all",
        {
            CLIENT: "test_a_connection_is_dead_after_a_time_out test_a_body_on_its_way_stops_at_a_time_out",
            CONVERSE: "test_a_lost_answer_of_an_executed_order test_a_request_that_was_never_executed",
            FAULTS: "test_a_carrier_that_never_answers_holds_one_place",
        },
    ),
    ("late answer", {CLIENT: "test_a_slow_answer_within_the_time_is_an_answer", FAULTS: "test_slow_answers"}),
    (
        "answer cut short",
        {
            CLIENT: "test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown",
            CONVERSE: "test_a_lost_answer_of_an_executed_order",
            FAULTS: "test_a_poll_is_repeated",
        },
    ),
    (
        "success that is a web page, mislabelled or empty",
        {
            CONVERSE: "test_a_lost_answer_of_an_executed_order",
            FAULTS: "test_the_content_type_decides_nothing test_a_poll_is_repeated",
        },
    ),
    (
        "XML that is broken or hostile",
        {
            "carrier/test_xml.py": "test_a_document_that_cannot_be_trusted_is_refused",
            FAULTS: "test_hostile_xml_in_answer_to_an_order test_a_poll_is_repeated",
        },
    ),
    ("success without an order id", {CONVERSE: "test_a_lost_answer_of_an_executed_order"}),
    (
        "order refused",
        {
            CONVERSE: "test_refused_by_name test_refused_without_a_name test_refused_without_a_name_in_both_halves "
            "test_a_value_that_is_refused test_an_order_that_is_refused_for_itself test_refused_as_a_whole "
            "test_a_family_without_hope test_halving_ends_at_the_eighth test_too_large",
            RUN: "test_a_row_that_nobody_names_is_found_in_a_whole_run",
        },
    ),
    (
        "credentials or permission refused",
        {
            CONVERSE: "test_a_token_that_ended_is_renewed test_wrong_configuration",
            WIRE: "test_a_get_that_is_not_allowed",
        },
    ),
    (
        "path not known to the carrier",
        {CONVERSE: "test_wrong_configuration test_a_path_that_took_an_order_in_an_earlier_attempt"},
    ),
    (
        "own order not shown",
        {
            CONVERSE: "test_an_order_that_the_carrier_does_not_show",
            FAULTS: "test_an_order_that_is_not_shown_is_left_open test_a_poll_is_repeated",
        },
    ),
    ("408", {CONVERSE: "test_a_lost_answer_of_an_executed_order", FAULTS: "test_a_poll_is_repeated"}),
    (
        "429 of every shape, and without end",
        {
            LIMITS: "test_how_long_a_429_shuts_the_gate test_a_429_slows_down_once_an_incident",
            CONVERSE: "test_429 test_429_without_end",
            WIRE: "test_a_429_shuts_the_gate_for_all",
            FAULTS: "test_every_shape_of_a_429",
        },
    ),
    (
        "429 to an order that was executed",
        {
            FAULTS: "test_a_429_that_lies_is_found_in_the_end",
            LOOK_UP: "test_an_audit_finds_what_was_executed_twice test_an_audit_of_an_order_that_was_never_accepted "
            "test_an_audit_without_a_clear_answer",
        },
    ),
    (
        "5xx",
        {
            CONVERSE: "test_a_lost_answer_of_an_executed_order test_a_request_that_was_never_executed",
            "carrier/test_retry.py": "test_judge_post test_judge_get",
            FAULTS: "test_a_poll_is_repeated",
        },
    ),
    (
        "redirect",
        {
            CLIENT: "test_redirects_are_never_followed",
            CONVERSE: "test_a_lost_answer_of_an_executed_order",
            FAULTS: "test_a_poll_is_repeated",
        },
    ),
    (
        "answer without end",
        {
            CLIENT: "test_an_oversized_answer_is_cut_off_at_once "
            "test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown",
            FAULTS: "test_an_answer_without_end_does_not_fill_the_memory",
        },
    ),
    (
        "order repeated by somebody on the way",
        {
            LOOK_UP: "test_executed_twice_on_the_way",
            FAULTS: "test_an_order_that_a_proxy_repeats",
            SUPERSEDED: "test_a_doubled_order_of_a_superseded_run_is_told",
        },
    ),
    (
        "list that is late",
        {
            LOOK_UP: "test_a_list_that_is_later_than_the_wait test_an_error_restarts_the_count test_what_proves_nothing "
            "test_the_list_must_work_when_absence_is_proven test_the_lag_of_the_list_outlives_the_attempt",
        },
    ),
    ("order that never ends", {RUN: "test_open_orders_are_waited_for_no_longer_than_asked"}),
    (
        "every word for the end of an order",
        {
            SETTLE: "test_partial test_partial_that_names_nobody test_failed_without_a_word test_failed_with_named_rows",
            CONVERSE: "test_orders_settle",
            "operations/test_tn_options.py": "test_when_an_order_is_settled",
        },
    ),
    (
        "order that contradicts itself",
        {SETTLE: "test_complete_with_errors", FAULTS: "test_complete_and_yet_with_errors"},
    ),
    (
        "clock that is off or jumps",
        {
            LIMITS: "test_how_long_a_429_shuts_the_gate",
            AUTH: "test_a_token_is_replaced_a_minute_before_its_end",
            FOLDER: "test_a_new_run_sorts_behind_those_that_are_there",
            FAULTS: "test_a_clock_that_is_a_day_off test_any_recent_order_is_found_by_a_clock_that_is_a_day_off "
            "test_a_wall_clock_that_jumps_proves_nothing",
        },
    ),
    (
        "token that dies during a run",
        {
            CLIENT: "test_twenty_401s_at_once_renew_the_token_once",
            AUTH: "test_twenty_401s_at_once_cause_one_refresh",
            FAULTS: "test_a_token_that_dies_in_the_middle_of_a_run",
        },
    ),
    (
        "no space for the ledger",
        {
            RECORD: "test_a_full_disk_is_for_later",
            SUBMIT: "test_an_intent_that_cannot_be_written test_an_answer_that_cannot_be_written_at_once",
            FAULTS: "test_nothing_is_sent_without_an_intent_on_the_disk test_an_answer_that_cannot_be_kept",
        },
    ),
    ("no space for the reports", {FAULTS: "test_reports_that_do_not_fit"}),
    (
        "disk that fails",
        {
            SUBMIT: "test_an_error_of_the_ledger",
            FAULTS: "test_nothing_is_sent_without_an_intent_on_the_disk",
            FILE: "test_a_damaged_file_is_refused test_a_cut_file_is_refused",
        },
    ),
    (
        "ledger in somebody else's hands",
        {
            FILE: "test_a_locked_file_is_for_later",
            FAULTS: "test_a_ledger_that_somebody_else_holds test_a_ledger_that_is_taken_in_the_middle",
        },
    ),
    (
        "ledger that is damaged, newer or of another account",
        {
            FILE: "test_a_damaged_file_is_refused test_a_newer_version_is_refused test_another_programs_database_is_refused",
            RUN: "test_an_unfinished_run_stays_with_its_account_address_and_version test_a_run_folder_that_was_changed_is_refused",
        },
    ),
    (
        "several starts at once",
        {
            FOLDER: "test_a_second_process_is_told_who_is_at_work",
            CLI: "test_a_second_start_is_told_who_runs",
            FAULTS: "test_fifty_starts_at_once",
        },
    ),
    (
        "kill -9",
        {
            "crash/test_kill.py": "test_a_killed_run_ends_in_the_same_results test_the_oracle_sees_a_double",
            STATES: "TestChunks",
        },
    ),
    (
        "signal",
        {
            CLI: "test_a_signal_stops_a_run_and_the_same_command_finishes_it test_a_signal_while_the_input_is_read",
            CONVERSE: "test_stopped_in_the_middle_of_a_post test_stopped_at_once",
            FAULTS: "test_a_second_signal_ends_it_at_once",
        },
    ),
    (
        "cron that overlaps, reboot",
        {FOLDER: "test_a_second_process_is_told_who_is_at_work", CLI: "test_a_second_start_is_told_who_runs"},
    ),
    (
        "another input before the run is finished",
        {
            SUPERSEDED: "test_a_changed_input_or_job_supersedes_the_unfinished_run test_an_input_that_is_refused_takes_nobodys_place "
            "test_a_carrier_out_of_reach_keeps_the_superseded_run_for_the_next_start",
            SUBMIT: "test_nothing_new_leaves",
        },
    ),
    (
        "another job before the run is finished",
        {
            SUPERSEDED: "test_a_changed_input_or_job_supersedes_the_unfinished_run",
            RUN: "test_a_finished_run_is_not_repeated_unless_that_is_wanted",
        },
    ),
    (
        "another version of batcher before the run is finished",
        {FILE: "test_a_newer_version_is_refused", FAULTS: "test_a_plan_is_kept_by_later_versions"},
    ),
    (
        "output folder that cannot be written, or vanishes",
        {FOLDER: "test_an_output_that_cannot_be_written_is_refused", FAULTS: "test_an_output_folder_that_vanishes"},
    ),
    (
        "carrier away for a while",
        {
            WIRE: "test_after_five_failures_one_question_at_a_time test_writes_that_are_not_answered_hold_only_writes "
            "test_writes_without_success_for_an_hour test_an_outage_of_questions_ends_too",
            FAULTS: "test_a_carrier_that_is_away_for_a_while test_out_of_reach_for_an_hour",
        },
    ),
    (
        "far more or fewer rows, or many rejects",
        {
            "engine/test_survey.py": "test_how_many_rejects_are_too_many "
            "test_the_count_of_rows_changes_little_from_night_to_night test_more_rows_than_anybody_meant",
            FIRST: "test_another_number_of_rows_than_last_night_sends_nothing test_more_rows_than_allowed_send_nothing",
            SUPERSEDED: "test_an_input_that_is_refused_takes_nobodys_place",
        },
    ),
    ("process ended by the system", {"crash/test_kill.py": "test_a_killed_run_ends_in_the_same_results"}),
]


def proofs(shown: dict[str, str]) -> list[str]:
    """Ids as pytest takes them."""
    return [f"tests/{file}::{name}" for file, names in shown.items() for name in names.split()]


@cache
def collected_from(file: str) -> set[str]:
    """What pytest would collect from a file, by name."""
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = {node.name for node in tree.body if isinstance(node, functions)}
    # A state machine becomes a test by its name.
    assigned = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    return names | {target.id for target in assigned if isinstance(target, ast.Name) and target.id.startswith("Test")}


@pytest.mark.parametrize(("fault", "shown"), MATRIX, ids=[fault for fault, _ in MATRIX])
def test_every_fault_is_shown(fault, shown):
    """There is a test of it, and every test that is named is there."""
    assert proofs(shown), fault
    missing = [proof for proof in proofs(shown) if proof.split("::")[1] not in collected_from(proof.split("::")[0])]
    assert missing == []


def test_no_fault_stands_twice():
    """44 of them, each with each of its tests once."""
    assert len({fault for fault, _ in MATRIX}) == len(MATRIX) == 44
    for _, shown in MATRIX:
        assert len(set(proofs(shown))) == len(proofs(shown))
