#!/bin/sh
# What systemd does elsewhere: restarts the service of this host, and says as which process it runs.
pidfile=$DEMO_RUN/$UPHAUL_NAME.pid
pid=$(cat "$pidfile" 2>/dev/null)
alive() { case $(sed -n 's/^State:[[:space:]]*//p' "/proc/${1:-none}/status" 2>/dev/null) in '' | Z*) return 1 ;; esac; }
case $1 in
restart)
  if alive "$pid"; then
    kill "$pid"
    n=0
    while alive "$pid" && [ "$n" -lt 100 ]; do n=$((n + 1)); sleep 0.05; done
  fi
  setsid "$DEMO_EXE" demo-service --port "$UPHAUL_LABEL_PORT" --root "$PWD" </dev/null >>"$DEMO_RUN/$UPHAUL_NAME.log" 2>&1 &
  echo "$!" >"$pidfile" ;;
status)
  alive "$pid" || { echo "no process"; exit 1; }
  echo "$pid" ;;
esac
