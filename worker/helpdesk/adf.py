"""Atlassian's document format, which Jira's descriptions and comments may have, as text."""

from typing import Any


def in_document(raw: Any) -> str:
    """The text of a description or comment: wiki text as it is, a document's blocks as lines."""
    lines, todo = [], [raw]
    while todo:  # a loop, not a recursion: documents are hostile too
        node = todo.pop()
        if isinstance(node, str):
            lines.append(node)
        elif isinstance(node, dict):
            children = node.get("content") or []
            inline = [one.get("text", "\n") for one in children if isinstance(one, dict)]
            is_block_of_text = node.get("type") in {"paragraph", "heading", "codeBlock"}
            todo += ["".join(map(str, inline))] if is_block_of_text else reversed_list(children)
    return "\n".join(lines)


def reversed_list(nodes: Any) -> list[Any]:
    return list(reversed(nodes)) if isinstance(nodes, list) else []
