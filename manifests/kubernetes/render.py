#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes */talon.yaml from charts/talon with the values in */values.yaml: render.py [--check]. Needs helm ($HELM) and PyYAML."""
import os
import pathlib
import re
import subprocess
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
CHART = HERE / "../../charts/talon"
HEAD = "# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause\n# Made from charts/talon by manifests/kubernetes/render.py: change values.yaml beside it, or the chart.\n"


def rendered(values, helm):
    """The chart's text without what only Helm needs."""
    text = subprocess.run([helm, "template", "talon", str(CHART), "-n", "talon", "-f", str(values), "--kube-version", "1.34.0", "--no-hooks"],
                          check=True, capture_output=True, text=True).stdout
    text = re.sub(r"^# Source: .*\n", "", text, flags=re.M)
    return HEAD + re.sub(r"^ *(helm.sh/chart|app.kubernetes.io/(managed-by|version|instance)): .*\n", keep_instance, text, flags=re.M)


def keep_instance(match):
    return match[0] if "instance" in match[1] else ""


def objects(text):
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text) if one}


def main():
    helm = os.environ.get("HELM", "helm").split()[0]
    wrong = 0
    for values in sorted(HERE.glob("*/values.yaml")):
        path = values.with_name("talon.yaml")
        new = rendered(values, helm)
        if "--check" not in sys.argv:
            path.write_text(new)
        elif not path.exists() or objects(path.read_text()) != objects(new):
            print(f"{path.relative_to(HERE)} is not what the chart makes of its values; run manifests/kubernetes/render.py")
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
