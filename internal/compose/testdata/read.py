"""Read the messages named on the command line with Python's email package and
print what a mail reader would show of each, as a JSON list."""

import base64
import email
import email.policy
import json
import sys


def show_part(part):
    if part.is_multipart():
        return {"type": part.get_content_type()}
    return {
        "type": part.get_content_type(),
        "disposition": part.get_content_disposition() or "",
        "filename": part.get_filename() or "",
        "id": part.get("Content-ID", ""),
        "data": base64.b64encode(part.get_payload(decode=True)).decode(),
    }


def addresses(message, name):
    value = message[name]
    return [] if value is None else [[a.display_name, a.addr_spec] for a in value.addresses]


def show(path):
    with open(path, "rb") as file:
        message = email.message_from_bytes(file.read(), policy=email.policy.SMTP)
    defects = [repr(d) for part in message.walk() for d in part.defects]
    for name in message.keys():
        if name.lower() != "dkim-signature":
            defects += [name + ": " + repr(d) for d in message[name].defects]
    return {
        "names": message.keys(),
        "from": addresses(message, "From"),
        "to": addresses(message, "To"),
        "cc": addresses(message, "Cc"),
        "replyTo": addresses(message, "Reply-To"),
        "subject": str(message["Subject"]),
        "messageID": str(message["Message-ID"]),
        "parts": [show_part(part) for part in message.walk()],
        "defects": defects,
    }


json.dump([show(path) for path in sys.argv[1:]], sys.stdout)
