from __future__ import annotations

import pytest

from support.conversion import codes, document_of

INSTANCE = "vrrp_instance V {{\n interface eth0\n virtual_router_id 1\n {}\n}}\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (INSTANCE.format("priority {{ prio }}"), 4),  # Jinja2, Mustache
        ("{% if defs %}\nglobal_defs {\n {{ macros.item(key)|indent(2, true) }}\n}\n{% endif %}\n", 1),
        ("global_defs {\n{# a remark #}\n}\n", 2),
        (INSTANCE.format("virtual_ipaddress {\n {{- range $vip := .VIPs }}\n {{ $vip }}\n {{- end }}\n}"), 5),  # Go
        (INSTANCE.format("priority <%= @priority %>"), 4),  # ERB
        (INSTANCE.format("<%- vips.each do |vip| -%>\n<% end %>"), 4),
    ],
)
def test_a_template_is_one_finding(text: str, line: int):
    assert codes(document_of(text).errors) == [("template", line, "refused")]


def test_a_template_that_leaves_blocks_open_is_one_finding_too():
    text = "{% for i in ids %}\nvrrp_instance V {\n {{ i }\n{% endfor %}\n" * 60
    assert codes(document_of(text).errors) == [("template", 1, "refused")]


@pytest.mark.parametrize(
    "text",
    [
        """vrrp_script s {\n script "docker inspect -f '{{.State.Running}}' web"\n}\n""",
        'vrrp_script s {\n script "/bin/x <%= a %>"\n}\n',
        "# {{ ansible_managed }} and <%= erb %>\nglobal_defs {\n}\n",
        INSTANCE.format("interface <%nothing%>"),
    ],
)
def test_template_marks_where_they_are_ordinary_text(text: str):
    assert "template" not in {d.code for d in document_of(text).diagnostics}


def test_braces_that_are_out_of_place_are_no_template():
    assert codes(document_of("global_defs {\n {\n }\n}\n").errors) == [("brace-without-keyword", 2, "refused")]
