#!/usr/bin/env python3
"""Stands for gh: keeps issues in issues.json of the folder that FAKE_GH names, and notes each call in calls."""

import argparse
import json
import os
import sys
from pathlib import Path

folder = Path(os.environ["FAKE_GH"])
if (folder / "broken").exists():
    sys.exit("gh: HTTP 401: Bad credentials")
with (folder / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:3]) + "\n")
file = folder / "issues.json"
issues = json.loads(file.read_text()) if file.exists() else []

parser = argparse.ArgumentParser()
parser.add_argument("what", choices=["issue", "label"])
parser.add_argument("verb", choices=["list", "create", "edit", "comment", "close"])
parser.add_argument("number", nargs="?")
for option in ("label", "state", "limit", "json", "title", "body-file", "body", "description"):
    parser.add_argument(f"--{option}")
parser.add_argument("--force", action="store_true")
options = parser.parse_args()

if (options.what, options.verb) == ("issue", "list"):
    print(json.dumps(issues[-1:]))
elif (options.what, options.verb) == ("issue", "create"):
    issues.append({"number": len(issues) + 1, "state": "OPEN", "body": sys.stdin.read(), "comments": []})
elif options.what == "issue":
    issue = issues[int(options.number) - 1]
    match options.verb:
        case "edit":
            issue["body"] = sys.stdin.read()
        case "comment":
            issue["comments"].append(options.body)
        case "close":
            issue["state"] = "CLOSED"
file.write_text(json.dumps(issues))
