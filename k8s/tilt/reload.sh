# What Tilt starts in place of a service: the service, again and again. Its process id is written to $0, so that whoever
# replaces its code can end it (SIGTERM: it finishes what it has begun). SIGTERM to this script ends both.
ended=''
trap 'ended=yes; kill -TERM "$child"' TERM INT
while [ -z "$ended" ]; do
  "$@" &
  child=$!
  [ -z "$ended" ] || kill -TERM "$child"
  echo "$child" > "$0"
  # A signal that is caught ends the waiting, not the child.
  while kill -0 "$child" 2>/dev/null; do wait "$child"; done
  # Code with a mistake in it ends at once; it is not started a hundred times a second.
  [ -n "$ended" ] || sleep 1
done
