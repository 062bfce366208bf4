"""`python -m devtools.dashboards`: writes the dashboards to charts/warren/dashboards and removes other files there."""

from devtools.dashboards.registry import FOLDER, rendered


def main() -> None:
    files = rendered()
    FOLDER.mkdir(exist_ok=True)
    for file in FOLDER.glob("*.json"):
        if file not in files:
            file.unlink()
    for file, text in files.items():
        file.write_text(text)
        print(file)


if __name__ == "__main__":
    main()
