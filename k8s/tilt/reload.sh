# Tilt starts this script in place of a service; it starts the service again and again. The process id is written to $0, so
# that a code update can end the process (SIGTERM: it finishes its current work). SIGTERM to this script ends both.
ended=''
trap 'ended=yes; kill -TERM "$child"' TERM INT
while [ -z "$ended" ]; do
  "$@" &
  child=$!
  [ -z "$ended" ] || kill -TERM "$child"
  echo "$child" > "$0"
  # A caught signal ends the wait, not the child.
  while kill -0 "$child" 2>/dev/null; do wait "$child"; done
  # Broken code exits at once: the pause keeps it from restarting a hundred times a second.
  [ -n "$ended" ] || sleep 1
done
