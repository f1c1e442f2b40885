"""The renderer against texts that Go's own text/template gave for the same input."""

from __future__ import annotations

import pytest

from factory.export.go_template import GoTemplateError, render

DATA = {
    "System": "",
    "Name": "Ada",
    "Items": [{"Role": "user", "Tags": ["x", "y"]}, {"Role": "tool", "Tags": []}],
    "Schema": {"type": "object"},
}

RENDERED = [
    ("plain text", "plain text"),
    ("{{ .Name }}", "Ada"),
    ("a  {{- .Name -}}  b", "aAdab"),
    ("a\n{{ .Name }}\nb", "a\nAda\nb"),
    ("{{ if .System }}yes{{ end }}", ""),
    ("{{ if .System }}1{{ else if .Name }}2{{ else }}3{{ end }}", "2"),
    ("{{ if not .Name }}1{{ else }}3{{ end }}", "3"),
    ("{{ range .Items }}[{{ .Role }}]{{ end }}", "[user][tool]"),
    ("{{ range $i, $item := .Items }}{{ $i }}{{ $item.Role }}{{ end }}", "0user1tool"),
    ("{{ range $item := .Items }}{{ range .Tags }}{{ . }}{{ $item.Role }}{{ end }}{{ end }}",
     "xuseryuser"),
    ("{{ range .Items }}{{ $.Name }}{{ end }}", "AdaAda"),
    ('{{ $a := "1" }}{{ range .Items }}{{ $a }}{{ $a = .Role }}{{ end }}{{ $a }}', "1usertool"),
    ('{{ $a := "1" }}{{ if .Name }}{{ $a := "2" }}{{ $a }}{{ end }}{{ $a }}', "21"),
    ('{{ if and (eq .Name "Ada") (ne .System "x") }}both{{ end }}', "both"),
    ('{{ or .System "default" }}', "default"),
    ("{{ and .System .Name }}", ""),
    ("{{ len (slice $.Items 1) }}", "1"),
    ("{{ .Schema }} {{ json .Schema }}", '{"type":"object"} {"type":"object"}'),
    ('{{ "quoted \\"text\\"\\n" }}', 'quoted "text"\n'),
]  # fmt: skip


@pytest.mark.parametrize(("template", "expected"), RENDERED)
def test_rendering(template: str, expected: str) -> None:
    assert render(template, DATA) == expected


REFUSED = [
    "{{ .Missing }}",
    "{{ .Name.First }}",
    "{{ $undefined }}",
    "{{ upper .Name }}",
    "{{ .Name | json }}",
    "{{ if .Name }}",
    "{{ range .Items }}",
    "{{ end }}",
    "{{ len (slice .Items 1 }}",
    "{{ .Name .System }}",
]


@pytest.mark.parametrize("template", REFUSED)
def test_what_it_does_not_know_is_an_error_and_never_a_guess(template: str) -> None:
    with pytest.raises(GoTemplateError):
        render(template, DATA)
