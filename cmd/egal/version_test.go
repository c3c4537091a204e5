package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	if got := egalRun(t, "version"); got.code != exitOK || !strings.HasPrefix(got.out, "egal ") || strings.Count(got.out, "\n") != 1 {
		t.Errorf("%d %q %q", got.code, got.out, got.err)
	}
	build := regexp.MustCompile(`"(version|go|platform|time|revision)": "[^"]*"`)
	for _, args := range []string{"version -o json", "version --json"} {
		got := egalRun(t, strings.Fields(args)...)
		text := strings.Replace(build.ReplaceAllString(got.out, `"$1": "<$1>"`), `"modified": true`, `"modified": false`, 1)
		golden(t, goldenFile("version.json"), text)
	}
}
