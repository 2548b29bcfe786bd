# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""From a short description of panels to Grafana's JSON (schema 39, Grafana 10.3 and later).

In queries, @S stands for the selection of job and nodes, [@R] for the range of a rate.

The data source is the variable $datasource. Its current value is ${DS_PROMETHEUS}, which is also an entry of __inputs: an import by hand
asks for the data source and puts it there, as with Grafana's own "export for sharing externally". Provisioning knows no __inputs and leaves the
text as it is; it names no data source, so that the variable takes the first one of type prometheus. So one file serves both.
"""
SELECTION = 'job=~"$job", instance=~"$instance"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, RED, BLUE, GREY = "green", "#EAB839", "red", "blue", "#808080"
WIDTH = 24


def expression(text):
    return " ".join(text.split()).replace("@S", SELECTION).replace("@R", "$__rate_interval")


def steps(*levels):
    """steps(GREEN, (0.8, YELLOW), (0.9, RED)): the first colour is that below all levels."""
    first, rest = levels[0], levels[1:]
    return {"mode": "absolute", "steps": [{"color": first, "value": None}] + [{"color": c, "value": v} for v, c in rest]}


def mapping(**words):
    """mapping(v0=("no", RED)): a value shown as a word."""
    return [{"type": "value", "options": {key[1:]: {"text": text, "color": color, "index": i}}}
            for i, (key, (text, color)) in enumerate(words.items())]


# Labels as heads of columns.
LABELS = {"instance": "Node", "who": "Peer", "alertname": "Alert"}


class Panel:
    """What every panel has: title, unit, what it says (and why its thresholds are where they are), where to read on."""

    def __init__(self, kind, title, unit, about, doc, queries, width, height, thresholds=None, doc_title="Runbook"):
        self.kind, self.title, self.unit, self.doc, self.doc_title = kind, title, unit, doc, doc_title
        self.about = " ".join(about.split())
        self.queries = [queries] if isinstance(queries, tuple) else queries
        self.width, self.height = width, height
        self.thresholds = thresholds or steps(GREEN)
        self.defaults, self.overrides, self.options, self.transformations = {}, [], {}, []
        self.instant = False

    def json(self, number, x, y):
        targets = []
        for i, (expr, legend) in enumerate(self.queries):
            targets.append({"refId": chr(ord("A") + i), "datasource": SOURCE, "editorMode": "code", "expr": expression(expr),
                            "legendFormat": legend, "instant": self.instant, "range": not self.instant,
                            "format": "table" if self.kind == "table" else "time_series"})
        return {
            "id": number, "type": self.kind, "title": self.title, "description": self.about, "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "links": [{"title": self.doc_title, "type": "link", "url": "${docs}/" + self.doc, "icon": "doc", "tooltip": "", "tags": [],
                       "asDropdown": False, "includeVars": False, "keepTime": False, "targetBlank": True}],
            "targets": targets,
            "fieldConfig": {"defaults": {"unit": self.unit, "thresholds": self.thresholds, **self.defaults}, "overrides": self.overrides},
            "options": self.options,
            **({"transformations": self.transformations} if self.transformations else {}),
        }


def stat(title, unit, about, doc, expr, thresholds=None, width=3, decimals=None, words=None):
    panel = Panel("stat", title, unit, about, doc, (expr, ""), width, 4, thresholds)
    panel.instant = True
    panel.options = {"reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""}, "orientation": "auto",
                     "textMode": "auto", "wideLayout": True, "colorMode": "background" if thresholds else "value",
                     "graphMode": "none", "justifyMode": "auto", "showPercentChange": False}
    panel.defaults = {"color": {"mode": "thresholds"}}
    if decimals is not None:
        panel.defaults["decimals"] = decimals
    if words:
        panel.defaults["mappings"] = words
    return panel


def graph(title, unit, about, doc, queries, stacked=False, thresholds=None, top=None, width=12, minimum=0, doc_title="Runbook"):
    """top: the y axis reaches at least so far (a share: 1)."""
    panel = Panel("timeseries", title, unit, about, doc, queries, width, 8, thresholds, doc_title)
    panel.options = {"legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"],
                                "sortBy": "Last *", "sortDesc": True},
                     "tooltip": {"mode": "multi", "sort": "desc"}}
    custom = {"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1, "fillOpacity": 30 if stacked else 8,
              "showPoints": "never", "spanNulls": False,
              "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
              "thresholdsStyle": {"mode": "dashed" if thresholds else "off"}}
    panel.defaults = {"color": {"mode": "palette-classic"}, "custom": custom}
    if minimum is not None:
        panel.defaults["min"] = minimum
    if top is not None:
        custom["axisSoftMax"] = top
    return panel


def table(title, about, doc, columns, height=9, width=WIDTH, by=("instance",), sort=None, hide=(), doc_title="Runbook"):
    """columns: (name, unit, query, {field options}); rows are joined by their labels. A name of None: the query gives only a label.
    by: the labels in their order; hide: labels that are not shown."""
    queries = [(expr, "") for _, _, expr, _ in columns]
    panel = Panel("table", title, "none", about, doc, queries, width, height, doc_title=doc_title)
    panel.instant = True
    panel.transformations = [{"id": "merge", "options": {}}]
    hidden = {"Time": True, **{label: True for label in hide}}
    names = {label: LABELS.get(label, label.capitalize()) for label in by}
    for i, (name, unit, _, extra) in enumerate(columns):
        value = "Value" if len(columns) == 1 else "Value #" + chr(ord("A") + i)
        if name is None:
            hidden[value] = True
            continue
        names[value] = name
        properties = [{"id": "unit", "value": unit}]
        for key, setting in extra.items():
            properties.append({"id": key, "value": setting})
        if "thresholds" in extra or "mappings" in extra:
            properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
        panel.overrides.append({"matcher": {"id": "byName", "options": name}, "properties": properties})
    order = {label: i for i, label in enumerate(by)}
    panel.transformations.append({"id": "organize", "options": {"excludeByName": hidden, "indexByName": order, "renameByName": names}})
    panel.overrides.append({"matcher": {"id": "byName", "options": LABELS["instance"]}, "properties": [{"id": "links", "value": [
        {"title": "Data path of ${__value.text}", "url": "/d/talon-datapath?var-instance=${__value.text}&${__url_time_range}"}]}]})
    panel.options = {"showHeader": True, "cellHeight": "sm",
                     "sortBy": [{"displayName": sort[0], "desc": sort[1]}] if sort else []}
    panel.defaults = {"color": {"mode": "thresholds"}, "custom": {"align": "auto", "filterable": True, "inspect": False}}
    return panel


LABEL_VALUES, CLASSIC = 1, 5


def variable(name, label, query, allow_all=None, kind=LABEL_VALUES, regex=""):
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "definition": query,
            "query": {"qryType": kind, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
            "refresh": 2, "sort": 1, "regex": regex, "hide": 0, "skipUrlSync": False, "multi": True, "includeAll": True,
            **({"allValue": allow_all} if allow_all else {}),
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]}, "options": []}


def annotation(name, color, expr, title):
    return {"name": name, "datasource": SOURCE, "enable": True, "hide": False, "iconColor": color, "expr": expression(expr),
            "step": "30s", "titleFormat": title, "textFormat": "", "tagKeys": "instance", "useValueForTime": False}


def laid_out(rows):
    """Rows of (title, panels), from left to right, as many lines as it takes."""
    made, y, number = [], 0, 1
    for title, panels in rows:
        made.append({"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
                     "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})
        number, y, x, tallest = number + 1, y + 1, 0, 0
        for panel in panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            made.append(panel.json(number, x, y))
            number, x, tallest = number + 1, x + panel.width, max(tallest, panel.height)
        y += tallest
    return made


def dashboard(uid, title, about, docs, rows, more_variables=()):
    kinds = sorted({panel.kind for _, panels in rows for panel in panels})
    names = {"stat": "Stat", "timeseries": "Time series", "table": "Table"}
    return {
        "__inputs": [{"name": "DS_PROMETHEUS", "label": "Prometheus", "description": "where Talon's metrics are", "type": "datasource",
                      "pluginId": "prometheus", "pluginName": "Prometheus"}],
        "__elements": {},
        "__requires": [{"type": "grafana", "id": "grafana", "name": "Grafana", "version": "10.3.0"},
                       {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"}]
        + [{"type": "panel", "id": kind, "name": names[kind], "version": ""} for kind in kinds],
        "id": None, "uid": uid, "title": title, "description": " ".join(about.split()), "tags": ["talon"], "schemaVersion": 39, "version": 1,
        "editable": True, "graphTooltip": 1, "timezone": "browser", "weekStart": "", "fiscalYearStartMonth": 0, "liveNow": False,
        "refresh": "30s", "time": {"from": "now-1h", "to": "now"}, "timepicker": {},
        "links": [{"title": "Talon", "type": "dashboards", "tags": ["talon"], "asDropdown": False, "includeVars": True, "keepTime": True,
                   "targetBlank": False, "icon": "external link", "tooltip": "", "url": ""}],
        "annotations": {"list": [
            annotation("Alerts", RED, 'ALERTS{alertname=~"Talon.*", alertstate="firing", instance=~"$instance|"}', "{{alertname}} {{instance}}"),
            annotation("New controller", BLUE, "changes(talon_datapath_adoptions_total{@S}[2m]) > 0", "A new controller took over: {{instance}}"),
        ]},
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "regex": "", "refresh": 1, "hide": 0,
             "skipUrlSync": False, "multi": False, "includeAll": False, "options": [],
             "current": {"selected": True, "text": "", "value": "${DS_PROMETHEUS}"}},
            variable("job", "Job", "label_values(talon_build_info, job)"),
            # Of a node that is down, too: ".*" among the chosen jobs.
            variable("instance", "Node", 'label_values(talon_build_info{job=~"$job"}, instance)', ".*"),
            *more_variables,
            {"name": "docs", "label": "Documents", "type": "constant", "query": docs, "hide": 2, "skipUrlSync": True,
             "description": "where docs/ of Talon's repository can be read"},
        ]},
        "panels": laid_out(rows),
    }
