from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import warnings
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import automl_opt
from automl_opt.core.errors import UnknownComponent
from automl_opt.plugin.host import ALLOW_LIST, load_host

OFFER_SGD = """
from automl_opt.api import OptimizerSpec, hookimpl

@hookimpl
def automl_opt_optimizers():
    return [OptimizerSpec(name="sgd", torch="torch.optim:SGD")]
"""


def hook(body, signature="automl_opt_optimizers()"):
    """The source of a plugin with one hook."""
    return f"from automl_opt.api import *\n@hookimpl\ndef {signature}:\n    {body}\n"


def statuses(host):
    return {plugin.name: plugin.status for plugin in host.plugins}


def reason(host, name):
    [plugin] = [plugin for plugin in host.plugins if plugin.name == name]
    assert plugin.status == "failed"
    assert plugin.components == ()
    return plugin.reason


def test_a_healthy_plugin_offers_its_components_under_its_name(installed):
    host = installed.add("healthy").host()

    assert statuses(host) == {"acme": "loaded"}
    assert [c.id for c in host.catalog.components("optimizer")] == [
        "acme.lbfgs",
        "acme.lion",
        "acme.radam",
    ]


def test_a_component_knows_the_distribution_it_came_from(installed):
    lion = installed.add("healthy").host().catalog.find("optimizer", "lion")

    assert (lion.plugin, lion.distribution, lion.distribution_version) == (
        "acme",
        "acme-optimizers",
        "1.2.0",
    )
    assert lion.module == "acme_optimizers"
    assert len(lion.source_sha256) == 64


@pytest.mark.parametrize(
    ("fixture", "name", "expected"),
    [
        ("broken", "broken", "import failed: ModuleNotFoundError: No module named 'apex'"),
        (
            "misspelt",
            "misspelt",
            "there is no hook automl_opt_optimisers; did you mean 'automl_opt_optimizers'?",
        ),
        ("unmarked", "unmarked", "automl_opt_optimizers is not marked with @hookimpl"),
        (
            "too_new",
            "tomorrow",
            "needs plugin API 99, this automl-opt has 1: upgrade automl-opt",
        ),
    ],
)
def test_a_plugin_that_cannot_work_is_kept_with_its_reason_and_the_rest_works(
    installed, fixture, name, expected
):
    host = installed.add(fixture, "healthy").host()

    assert reason(host, name).startswith(expected)
    assert statuses(host)["acme"] == "loaded"
    assert host.catalog.find("optimizer", "lion").plugin == "acme"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("raise SystemExit(3)", "import failed: SystemExit: 3"),
        ("1 / 0", "import failed: ZeroDivisionError: division by zero"),
        ("def broken(:", "import failed: SyntaxError"),
        ("", "implements no hook; hooks: automl_opt_commands, "),
        ("AUTOML_OPT_API = '1'", "AUTOML_OPT_API must be a whole number, not '1'"),
        (hook("raise SystemExit(3)"), "automl_opt_optimizers raised SystemExit: 3"),
        (hook("return 1 / 0"), "automl_opt_optimizers raised ZeroDivisionError: division"),
        (hook("yield 1 / 0"), "automl_opt_optimizers raised ZeroDivisionError: division"),
        (hook("return 1"), "automl_opt_optimizers raised TypeError: 'int' object is not iter"),
        (
            hook("return OptimizerSpec(name='sgd', torch='torch.optim:SGD')"),
            "automl_opt_optimizers raised TypeError: 'OptimizerSpec' object is not iterable",
        ),
        (
            hook("yield {'name': 'sgd'}"),
            "automl_opt_optimizers must offer OptimizerSpec, not {'name': 'sgd'}",
        ),
        (
            hook("yield InitializerSpec(name='he')"),
            "automl_opt_optimizers must offer OptimizerSpec, not InitializerSpec(",
        ),
        (
            hook("yield OptimizerSpec(name='SGD', torch='torch.optim:SGD')"),
            "automl_opt_optimizers raised PluginError: optimizer 'SGD': a name is lower-case",
        ),
        (
            hook("yield OptimizerSpec(name='sgd', torch='t:S', params={'lr': Float(1, 0)})"),
            "automl_opt_optimizers raised ParamError: the range is inverted",
        ),
        (
            hook("yield from [InitializerSpec(name='he')] * 2", "automl_opt_initializers()"),
            "clash: it offers two initializers named ",
        ),
        (
            hook("return []", "automl_opt_optimizers(colour)"),
            "Plugin 'bad' for hook 'automl_opt_optimizers' hookimpl definition",
        ),
        (
            "from automl_opt.api import hookimpl\n@hookimpl\ndef optimizers():\n    return []",
            "there is no hook optimizers; allowed: automl_opt_commands, ",
        ),
        (
            "def __dir__():\n    return ['late']\ndef __getattr__(name):\n    return 1 / 0",
            "import failed: ZeroDivisionError: division by zero",
        ),
    ],
)
def test_whatever_a_plugin_does_is_a_reason_and_never_the_end_of_the_others(
    installed, source, expected
):
    host = installed.write("bad", source).write("good", OFFER_SGD).host()

    assert reason(host, "bad").startswith(expected)
    assert statuses(host)["good"] == "loaded"
    assert host.catalog.find("optimizer", "sgd").id == "good.sgd"


def test_a_plugin_is_free_to_import_objects_that_answer_to_every_name(installed):
    host = installed.write("mocks", OFFER_SGD + "\nfrom unittest.mock import call").host()

    assert statuses(host) == {"mocks": "loaded"}


def test_a_hook_that_offers_nothing_is_no_failure(installed):
    host = installed.write("quiet", hook("return None")).host()

    assert statuses(host) == {"quiet": "loaded"}
    assert host.catalog.components() == ()


def test_an_entry_point_without_a_distribution_is_of_unknown_origin():
    host = load_host([EntryPoint("lost", "no_such_module", "automl_opt")])

    assert [(p.name, p.distribution, p.version) for p in host.plugins] == [("lost", "unknown", "0")]


def test_a_distribution_that_lost_its_metadata_is_of_unknown_origin(installed):
    installed.write("good", OFFER_SGD)
    (installed.folder / "good_plugin-1.0.dist-info" / "METADATA").unlink()

    [plugin] = installed.host().plugins

    assert (plugin.status, plugin.distribution, plugin.version) == ("loaded", "unknown", "0")


def test_two_plugins_of_one_name_are_both_refused_naming_both_distributions(installed):
    host = installed.add("healthy", "clashing").write("good", OFFER_SGD).host()

    assert [(p.name, p.status) for p in host.plugins] == [
        ("acme", "failed"),
        ("acme", "failed"),
        ("good", "loaded"),
    ]
    for plugin in host.plugins[:2]:
        assert plugin.reason == (
            "clash: plugin 'acme' is provided by acme-imitation 0.9.0 and by "
            "acme-optimizers 1.2.0; uninstall all but one"
        )
    with pytest.raises(UnknownComponent, match="Plugin 'acme' is not loaded: clash: "):
        host.catalog.find("optimizer", "acme.lion")


def test_nobody_takes_the_name_of_a_plugin_that_ships_with_automl_opt(installed):
    host = installed.write("builtin", OFFER_SGD).host(ours=True)

    ours, theirs = host.plugins
    assert (ours.distribution, theirs.distribution) == ("automl-opt", "builtin-plugin")
    assert theirs.status == "failed"
    assert "is provided by automl-opt 0.1.0 and by builtin-plugin 1.0" in theirs.reason
    assert not str(ours.reason).startswith("clash")


def test_two_plugins_that_share_a_short_name_both_load_and_only_the_short_name_is_refused(
    installed,
):
    catalog = installed.add("healthy", "sharing").host().catalog

    assert catalog.find("optimizer", "acme.lion").plugin == "acme"
    assert catalog.find("optimizer", "umbrella.lion").plugin == "umbrella"
    assert catalog.find("optimizer", "adamw").plugin == "umbrella"
    with pytest.raises(UnknownComponent, match=r"write acme\.lion or umbrella\.lion$"):
        catalog.find("optimizer", "lion")


@pytest.mark.parametrize(
    ("listed", "loaded"),
    [
        (None, ["acme", "umbrella"]),
        ("acme", ["acme"]),
        (" acme , umbrella ", ["acme", "umbrella"]),
        ("", []),
        ("someone", []),
    ],
)
def test_the_allow_list_says_which_plugins_load(installed, monkeypatch, listed, loaded):
    installed.add("healthy", "sharing")
    if listed is not None:
        monkeypatch.setenv(ALLOW_LIST, listed)

    host = installed.host()

    assert [p.name for p in host.plugins if p.status == "loaded"] == loaded
    assert {p.reason for p in host.plugins if p.name not in loaded} <= {
        f"not in the allow-list {ALLOW_LIST}"
    }


def test_a_plugin_that_is_not_allowed_is_not_imported(installed):
    host = installed.write("bomb", "raise SystemExit").host(allow=["acme"])

    assert statuses(host) == {"bomb": "not allowed"}
    assert "bomb_plugin" not in sys.modules


def test_what_ships_with_automl_opt_needs_no_allowance(installed):
    host = installed.add("healthy").host(ours=True, allow=[])

    assert statuses(host)["acme"] == "not allowed"
    assert statuses(host)["builtin"] != "not allowed"


def test_whoever_leaves_plugins_out_may_say_why(installed):
    host = installed.add("healthy").host(allow=[], because="left out today")

    assert [plugin.reason for plugin in host.plugins] == ["left out today"]


def test_a_component_of_a_plugin_that_is_not_allowed_is_missed_with_that_reason(installed):
    host = installed.add("healthy").host(allow=[])

    with pytest.raises(UnknownComponent, match="Plugin 'acme' is not loaded: not in the allow"):
        host.catalog.find("optimizer", "lion")


LISTENER = """
from automl_opt.api import hookimpl
heard = []

@hookimpl
def automl_opt_study_started(study):
    heard.append(study)
"""


@pytest.mark.parametrize("failure", ["1 / 0", "raise SystemExit(3)"])
def test_a_plugin_that_fails_in_an_event_is_warned_about_and_the_others_hear_of_it(
    installed, failure
):
    installed.write("a", hook(failure, "automl_opt_study_started(study)"), version="0.7")
    host = installed.write("b", LISTENER).host()

    with pytest.warns(
        RuntimeWarning, match=r"plugin 'a' \(a-plugin 0\.7\) failed in automl_opt_study_started: "
    ) as caught:
        host.notify("automl_opt_study_started", study="digits")

    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert sys.modules["b_plugin"].heard == ["digits"]


def test_a_plugin_may_take_fewer_arguments_than_an_event_has(installed):
    source = LISTENER.replace("study_started(study)", "trial_finished(result)")
    host = installed.write("b", source.replace("append(study)", "append(result)")).host()

    host.notify("automl_opt_trial_finished", study="digits", result=0.5)

    assert sys.modules["b_plugin"].heard == [0.5]


def test_plugins_that_did_not_load_hear_of_nothing(installed):
    host = installed.add("broken", "healthy").host()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        host.notify("automl_opt_study_finished", study=None, verdict=None)


def test_an_event_that_does_not_exist_is_our_own_error_and_no_plugin_s(installed):
    host = installed.write("b", LISTENER).host()

    with pytest.raises(ValueError, match=r"did you mean 'automl_opt_study_started'\?"):
        host.notify("automl_opt_study_strated", study=None)


def list_plugins(environment):
    program = (
        "from automl_opt.plugin.host import load_host\n"
        "host = load_host()\n"
        "print([(p.name, p.distribution, p.version) for p in host.plugins if p.name == 'acme'])\n"
        "print([c.id for c in host.catalog.components() if c.plugin == 'acme'])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


OFFLINE = ("--no-deps", "--no-build-isolation", "--no-index")

SEEN = [
    "[('acme', 'acme-optimizers', '1.2.0')]",
    "['acme.lbfgs', 'acme.lion', 'acme.radam']",
]


def test_a_fresh_python_finds_the_plugins_installed_for_it(installed):
    assert list_plugins(installed.add("healthy").environment()) == SEEN


def test_a_plugin_that_pip_installs_is_found_without_further_ado(tmp_path, fixture_projects):
    target = tmp_path / "site-packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]

    subprocess.run([*pip, *OFFLINE, "--target", target, fixture_projects / "healthy"], check=True)

    assert list_plugins({**os.environ, "PYTHONPATH": str(target)}) == SEEN


HOST = load_host(allow=())


@pytest.mark.parametrize(
    "component", HOST.catalog.components(), ids=lambda component: f"{component.kind} {component.id}"
)
def test_the_source_of_a_built_in_component_is_its_own_file_and_that_of_its_code(component):
    folder = "strategies" if component.kind == "strategy" else f"{component.kind}s"
    modules = [f"automl_opt.builtin.{folder}.{component.spec.name}"]
    for way in ("torch", "wrap", "sampler", "pruner"):
        path = getattr(component.spec, way, None)
        if isinstance(path, str) and path.startswith("automl_opt."):
            modules.append(path.partition(":")[0])
    root = Path(automl_opt.__file__).parent.parent
    files = [root / f"{module.replace('.', '/')}.py" for module in modules]

    assert component.module == modules[0]
    expected = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    assert component.source_sha256 == expected


def test_the_source_of_a_component_is_the_file_of_its_code_or_else_of_its_plugin(installed):
    package = installed.folder / "acme_rules"
    package.mkdir()
    (package / "lazy.py").write_text("def init(tensor, generator): ...\n")
    (package / "own.py").write_text("def factor(step, total): return 1.0\n")
    (package / "__init__.py").write_text(
        "from automl_opt.api import *\n"
        "from acme_rules import own\n"
        "@hookimpl\n"
        "def automl_opt_optimizers():\n"
        "    return [OptimizerSpec(name='other', torch='torch.optim:SGD')]\n"
        "@hookimpl\n"
        "def automl_opt_initializers():\n"
        "    return [InitializerSpec(name='lazy', init='acme_rules.lazy:init')]\n"
        "@hookimpl\n"
        "def automl_opt_schedulers():\n"
        "    return [SchedulerSpec(name='own', factor=own.factor)]\n"
    )

    host = load_host([EntryPoint("acme", "acme_rules", "automl_opt")])

    sources = {c.spec.name: c.source_sha256 for c in host.catalog.components()}
    assert sources == {
        name: hashlib.sha256((package / file).read_bytes()).hexdigest()
        for name, file in [("other", "__init__.py"), ("lazy", "lazy.py"), ("own", "own.py")]
    }
    assert "acme_rules.lazy" not in sys.modules
