#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One page that draws what the panels of a dashboard ask a Prometheus, for somebody to look at where there is no Grafana:

    draw.py PROMETHEUS-URL DASHBOARD SECONDS ECHARTS.js OUT.html
"""
import datetime
import html
import json
import math
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import scene  # noqa: E402

PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
SUFFIX = {"bps": "b/s", "pps": " p/s", "cps": " /s", "none": "", "short": ""}
STYLE = """body{background:#111217;color:#ccc;font:13px sans-serif;margin:8px} .grid{display:grid;grid-template-columns:repeat(24,1fr);
grid-auto-rows:34px;gap:8px} .p{background:#181b1f;border:1px solid #2c3235;overflow:hidden;padding:4px 8px;position:relative}
.t{font-weight:bold;white-space:nowrap} .row{align-self:end;font-size:15px;color:#eee} .stat{display:flex;flex-direction:column}
.stat b{font-size:28px;margin:auto;color:#fff} table{border-collapse:collapse;width:100%;font-size:12px} td,th{padding:2px 8px;text-align:left;
border-bottom:1px solid #2c3235} .none{color:#888;margin:20px} .legend td{border:0;padding:0 8px} .dot{display:inline-block;width:10px;height:3px;margin-right:6px}"""
COLORS = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a", "#447ebc", "#c15c17",
          "#890f02", "#0a437c", "#6d1f62"]


def shown(value, unit, decimals=None):
    if math.isnan(value):
        return "NaN"
    if unit == "percentunit":
        return f"{100 * value:.{2 if decimals is None else decimals}f}%"
    if unit == "s":
        for limit, factor, name in ((1e-6, 1e9, "ns"), (1e-3, 1e6, "µs"), (1, 1e3, "ms"), (120, 1, "s"), (7200, 1 / 60, "min")):
            if abs(value) < limit:
                return f"{value * factor:.3g} {name}"
        return f"{value / 3600:.3g} h"
    if unit == "dateTimeFromNow":
        return f"{time.time() - value / 1000:.0f} s ago"
    if unit == "bytes":
        for factor, name in ((2 ** 30, "GiB"), (2 ** 20, "MiB"), (2 ** 10, "KiB")):
            if value >= factor:
                return f"{value / factor:.3g} {name}"
        return f"{value:.0f} B"
    for factor, name in PREFIXES:
        if abs(value) >= factor:
            return f"{value / factor:.3g} {name}{SUFFIX[unit]}"
    return f"{value:.0f}{SUFFIX[unit]}" if decimals == 0 or value == int(value) else f"{value:.3g}{SUFFIX[unit]}"


def color_of(thresholds, value):
    color = "green"
    for step in thresholds["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = step["color"]
    return {"green": "#299c46", "red": "#d44a3a"}.get(color, color)


def legend(template, metric):
    if not template:
        return "{" + ", ".join(f"{k}={v}" for k, v in metric.items() if k != "__name__") + "}"
    return re.sub(r"{{(\w+)}}", lambda m: metric.get(m[1], ""), template)


def mapped(mappings, value):
    for one in mappings or []:
        if f"{value:g}" in one["options"]:
            return one["options"][f"{value:g}"]
    return None


def stat(panel, url):
    defaults = panel["fieldConfig"]["defaults"]
    result = scene.api(url, "query", query=scene.substituted(panel["targets"][0]["expr"], SPAN))["result"]
    if not result:
        return '<div class="none">No data</div>'
    value = float(result[0]["value"][1])
    background = color_of(defaults["thresholds"], value) if panel["options"]["colorMode"] == "background" else "transparent"
    return f'<b style="background:{background};padding:2px 14px;border-radius:4px">{shown(value, defaults["unit"], defaults.get("decimals"))}</b>'


def table(panel, url):
    """merge: rows that have the same labels are one."""
    organize = panel["transformations"][-1]["options"]
    rows, columns = {}, []
    many = len(panel["targets"]) > 1
    for target in panel["targets"]:
        field = f"Value #{target['refId']}" if many else "Value"
        for sample in scene.api(url, "query", query=scene.substituted(target["expr"], SPAN))["result"]:
            metric = {k: v for k, v in sample["metric"].items() if k != "__name__"}
            fits = [row for row in rows.values() if all(row.get(k, v) == v for k, v in metric.items())]
            row = fits[0] if fits else rows.setdefault(json.dumps(metric), {})
            row.update(metric)
            if field not in organize["excludeByName"]:
                row[organize["renameByName"][field]] = float(sample["value"][1])
    for row in rows.values():
        columns += [name for name in row if name not in columns]
    columns.sort(key=lambda name: organize["indexByName"].get(name, 99))
    settings = {o["matcher"]["options"]: {p["id"]: p["value"] for p in o["properties"]} for o in panel["fieldConfig"]["overrides"]}
    columns = [name for name in columns if name not in organize["excludeByName"]]
    body = ""
    order, names = panel["options"]["sortBy"], {shown: name for name, shown in organize["renameByName"].items() if not name.startswith("Value")}
    by = names.get(order[0]["displayName"], order[0]["displayName"]) if order else None
    listed = sorted(rows.values(), key=lambda r: r.get(by, -1), reverse=order[0]["desc"]) if order else rows.values()
    for row in listed:
        body += "<tr>"
        for name in columns:
            value, setting = row.get(name), settings.get(name, {})
            text, color = html.escape(str(value if value is not None else "")), "inherit"
            if isinstance(value, float):
                word = mapped(setting.get("mappings"), value)
                text, color = (word["text"], word["color"]) if word else (shown(value, setting.get("unit", "none"), setting.get("decimals")), color)
                if "thresholds" in setting:
                    color = color_of(setting["thresholds"], value)
            body += f'<td style="color:{color}">{text}</td>'
        body += "</tr>"
    if not rows:
        return '<div class="none">No data</div>'
    return "<table><tr>" + "".join(f"<th>{html.escape(organize['renameByName'].get(name, name))}</th>" for name in columns) + f"</tr>{body}</table>"


def series(panel, url, charts):
    defaults, lines, now = panel["fieldConfig"]["defaults"], [], time.time()
    unit = defaults["unit"]
    for target in panel["targets"]:
        answer = scene.api(url, "query_range", query=scene.substituted(target["expr"], SPAN), start=now - SECONDS, end=now, step=1)
        for one in answer["result"]:
            points = [(float(t) * 1000, float(v)) for t, v in one["values"] if not math.isnan(float(v))]
            if points:
                lines.append((legend(target["legendFormat"], one["metric"]), points))
    lines.sort(key=lambda line: -line[1][-1][1])
    if not lines:
        return '<div class="none">No data</div>'
    height = panel["gridPos"]["h"] * 42 - 40 - 17 * min(len(lines), 6)
    rows = "".join(f'<tr><td><span class="dot" style="background:{COLORS[i % len(COLORS)]}"></span>{html.escape(name)}</td>'
                   f"<td>{shown(points[-1][1], unit)}</td><td>{shown(max(v for _, v in points), unit)}</td></tr>"
                   for i, (name, points) in enumerate(lines[:6]))
    marks = [] if defaults["custom"]["thresholdsStyle"]["mode"] == "off" else \
        [{"yAxis": s["value"], "lineStyle": {"color": "#d44a3a" if s["color"] == "red" else s["color"]}} for s in defaults["thresholds"]["steps"] if s["value"]]
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    made = [{"type": "line", "name": name, "data": points, "showSymbol": False, "lineStyle": {"width": 1.2}, "color": COLORS[i % len(COLORS)],
             **({"stack": "a", "areaStyle": {"opacity": 0.3}} if stacked else {}),
             **({"markLine": {"symbol": "none", "label": {"show": False}, "data": marks}} if marks and i == 0 else {})}
            for i, (name, points) in enumerate(lines)]
    chart = {"id": f"c{panel['id']}", "unit": unit, "series": made, "soft": defaults["custom"].get("axisSoftMax")}
    charts.append(chart)
    return f'<div id="{chart["id"]}" style="height:{height}px"></div><table class="legend"><tr><td></td><td>last</td><td>max</td></tr>{rows}</table>'


SCRIPT = """
const suffix={bps:'b/s',pps:' p/s',cps:' /s',none:'',short:''};
function say(v,u){ if(u==='percentunit') return +(100*v).toPrecision(3)+'%'; if(u==='s') return v<1e-3?+(v*1e6).toPrecision(3)+' µs':v<1?+(v*1e3).toPrecision(3)+' ms':+v.toPrecision(3)+' s';
 if(u==='bytes') return +(v/1048576).toPrecision(3)+' MiB'; for(const [f,n] of [[1e9,'G'],[1e6,'M'],[1e3,'k']]) if(v>=f) return +(v/f).toPrecision(3)+' '+n+(suffix[u]||''); return +v.toPrecision(3)+(suffix[u]||''); }
for(const c of charts){ const e=echarts.init(document.getElementById(c.id),null,{renderer:'canvas'});
 e.setOption({animation:false,grid:{left:70,right:10,top:8,bottom:20},xAxis:{type:'time',axisLabel:{color:'#999',hideOverlap:true}},
 yAxis:{type:'value',min:0,max:c.soft?(v=>Math.max(v.max,c.soft)):undefined,axisLabel:{color:'#999',formatter:v=>say(v,c.unit)},splitLine:{lineStyle:{color:'#2c3235'}}},series:c.series}); }
"""


def page(url, name, echarts):
    dashboard = json.loads((scene.ROOT / f"charts/monitoring/dashboards/{name}.json").read_text())
    charts, cells = [], ""
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        place = f"grid-column:{at['x'] + 1}/span {at['w']};grid-row:{at['y'] + 1}/span {at['h']}"
        if panel["type"] == "row":
            cells += f'<div class="row" style="{place}">{panel["title"]}</div>'
            continue
        body = stat(panel, url) if panel["type"] == "stat" else table(panel, url) if panel["type"] == "table" else series(panel, url, charts)
        cells += f'<div class="p {panel["type"]}" style="{place}"><div class="t">{html.escape(panel["title"])}</div>{body}</div>'
    when = datetime.datetime.now().strftime("%H:%M:%S")
    return (f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><h3>{dashboard['title']} — {when}</h3><div class=grid>{cells}</div>"
            f"<script src='file://{echarts}'></script><script>const charts={json.dumps(charts)};{SCRIPT}</script>")


SECONDS, SPAN = 60, "60s"
if __name__ == "__main__":
    SECONDS = int(sys.argv[3])
    SPAN = f"{SECONDS}s"
    pathlib.Path(sys.argv[5]).write_text(page(sys.argv[1], sys.argv[2], sys.argv[4]))
