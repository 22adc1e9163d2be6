package main

import (
	"maps"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
)

// render is helm template: a chart with its own values, and those of a file over them.
func render(folder string, files []string) (objects []object, err error) {
	chart, err := loader.Load(folder)
	if err != nil {
		return nil, err
	}
	if err := chart.Validate(); err != nil {
		return nil, err
	}
	given := chartutil.Values{}
	for _, file := range files {
		if given, err = chartutil.ReadValuesFile(file); err != nil {
			return nil, err
		}
	}
	release := chartutil.ReleaseOptions{Name: "shop", Namespace: "default", Revision: 1, IsInstall: true}
	values, err := chartutil.ToRenderValues(chart, given, release, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Engine{Strict: true}.Render(chart, values)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		parts := releaseutil.SplitManifests(rendered[name])
		for _, key := range slices.Sorted(maps.Keys(parts)) {
			objects = append(objects, object{path.Base(name), parts[key]})
		}
	}
	return objects, nil
}
