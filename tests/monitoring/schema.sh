#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The dashboards against Grafana's own types (npm: @grafana/schema, @grafana/grafana-foundation-sdk), by the TypeScript compiler: a field that
# no type has, a value that no enum has and a field that is missing are errors. Not part of `make test`, because it needs npm.
#
#   schema.sh [FOLDER-WITH-node_modules]
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if [ -n "${1:-}" ]; then
	ln -s "$(readlink -f "$1")/node_modules" node_modules
else
	npm install --silent --no-audit --no-fund @grafana/schema@13.2.3 @grafana/grafana-foundation-sdk@0.0.21 typescript@5 >/dev/null
fi

cat >shape.ts <<'END'
import type { Dashboard, Panel, RowPanel, VariableModel, AnnotationQuery, DashboardLink } from '@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as TableOptions, FieldConfig as TableField } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { Options as SeriesOptions, FieldConfig as SeriesField } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type { Dataquery } from '@grafana/grafana-foundation-sdk/prometheus';

// An enum of strings takes no literal: here it does. null stands for a number that JSON does not have (minus infinity).
export type Plain<T> = T extends string ? `${T}` : T extends (infer E)[] ? Plain<E>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Without<T, K extends keyof any> = Omit<T, K>;

type Query = Plain<Without<Dataquery, '_implementsDataqueryVariant'>>;
type Base = Plain<Without<Panel, 'options' | 'targets' | 'fieldConfig' | 'type'>>;
type Config<C> = Plain<Without<NonNullable<Panel['fieldConfig']>, 'defaults'>> & {
	defaults: Plain<Without<NonNullable<Panel['fieldConfig']>['defaults'], 'custom'>> & { custom?: C } };
// percentChangeColorMode has a default; the schema's generator loses that.
type Stat = Base & { type: 'stat', targets: Query[], fieldConfig: Config<never>,
	options: Plain<Without<StatOptions, 'percentChangeColorMode'>> };
type Series = Base & { type: 'timeseries', targets: Query[], fieldConfig: Config<Partial<Plain<SeriesField>>>,
	options: Plain<Without<SeriesOptions, 'tooltip'>> & { tooltip: Partial<Plain<SeriesOptions['tooltip']>> } };
type Table = Base & { type: 'table', targets: Query[], fieldConfig: Config<Partial<Plain<TableField>>>, options: Partial<Plain<TableOptions>> };
type Annotation = Plain<AnnotationQuery> & { expr: string, step: string, titleFormat: string, textFormat: string, tagKeys: string, useValueForTime: boolean };

export type Talon = Plain<Without<Dashboard, 'panels' | 'templating' | 'annotations' | 'timepicker' | 'links'>> & {
	panels: (Plain<RowPanel> | Stat | Series | Table)[],
	templating: { list: Plain<VariableModel & { definition?: string }>[] },
	annotations: { list: Annotation[] },
	links: Plain<DashboardLink>[], timepicker: {},
	__inputs: { name: string, label: string, description: string, type: 'datasource', pluginId: 'prometheus', pluginName: string }[],
	__requires: { type: 'grafana' | 'datasource' | 'panel', id: string, name: string, version: string }[], __elements: {} };
END
for file in "$here"/../../charts/monitoring/dashboards/*.json; do
	{
		echo "import type { Talon } from './shape';"
		echo "export const dashboard: Talon ="
		cat "$file"
	} >"$(basename "$file" .json).ts"
done
node_modules/.bin/tsc --noEmit --strict --skipLibCheck --module esnext --moduleResolution bundler --target es2022 ./*.ts
echo "$(ls ./*.ts | grep -vc shape) dashboards have the types of @grafana/schema $(sed -n 's/.*"version": "\(.*\)".*/\1/p' node_modules/@grafana/schema/package.json | head -n 1)"
