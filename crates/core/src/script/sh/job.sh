# The job of one step: it holds the host's lock for as long as it runs, and leaves its result in its folder.
J=$1
. "$J/vars"
exec 8>>"$J/alive"; flock 8
: >"$J/started"
# On a full disk the reserve that Record put aside makes room for the one line that must not be lost.
end() {
  put_off "$U_STATE" 0
  up >"$J/at" 2>/dev/null
  { printf '%s\n' "$1" >"$J/rc.new" && [ -s "$J/rc.new" ]; } 2>/dev/null || { room "$U_STATE"; printf '%s\n' "$1" >"$J/rc.new"; }
  mv -f "$J/rc.new" "$J/rc"; rm -f "$J/vars" "$J/pipe"; exit 0
}
exec 9>>"$U_STATE/lock"
flock -w 60 9 || { printf 'notbegun=1\nfound=the lock of the host was held for 60 s\n' >"$J/result"; end 98; }
# Begun twice (two ways to begin it, or a runner that was cut off), or given up by its runner: only the newest token
# acts, and only who takes the one turn. Taking it away needs no room on the disk.
[ "$(cat "$J/token" 2>/dev/null)" = "$U_TOKEN" ] && rmdir "$J/turn" 2>/dev/null || exit 0
boot >"$J/boot"
fence=$(sed -n 's/^fence=//p' "$U_STATE/claim" 2>/dev/null)
# A switch that goes back may not have come to its claim yet.
read_switch "$U_STATE"; [ "$s_run:$s_state" != "$U_RUN:reverting" ] || fence="$fence and the switch's"
[ "$fence" = "$U_FENCE" ] || { printf 'notbegun=1\nfenced=the number is %s, ours was %s\n' "$fence" "$U_FENCE" >"$J/result"; end 97; }
# The dead-man's switch waits for as long as this step may take. A way back goes on without room to say so: the switch
# would do the same.
put_off "$U_STATE" $((U_LIMIT + 60)) || [ "$U_PHASE" = rollback ] ||
  { printf 'found=the switch cannot be put off (disk full?)\n' >"$J/result"; end 3; }
mkfifo "$J/pipe" || end 99
# What a restart command leaves running may go on writing there: for it the reader drains as long as it lives.
drain=; [ "$U_ACTION:$U_MANAGER" != restart:commands ] || drain=1
(
  [ -z "$drain" ] || trap '' HUP TERM
  stdbuf -o0 head -c 262144 >"$J/out"
  if [ -n "$drain" ]; then exec cat >/dev/null; fi
  tail -c 65536 >"$J/more"
) <"$J/pipe" 2>/dev/null 8>&- 9>&- & reader=$!
began=$(up)
# `timeout` holds both locks too: a body whose job was killed still keeps everybody else out until its end.
body() {
  timeout -k 10 "$1" sh -c "exec 8>&- 9>&-
$U_LIB
$U_BODY" >&7 2>&1 7>&- </dev/null & body=$!
  wait "$body"; rc=$?
  kill -s KILL -- "-$body" 2>/dev/null
  ended=$(up)
}
full() { ! dd if=/dev/zero of="$J/full" bs=65536 count=1 2>/dev/null; }
exec 7>"$J/pipe"
body "$U_LIMIT"
# A step of the way back that may have failed for want of room gets some, and a second try within its limit.
left=$((U_LIMIT - ended + began))
if [ "$rc" != 0 ] && [ "$U_PHASE" = rollback ] && [ "$left" -gt 0 ] && full; then
  rm -f "$J/full" "$J/result"
  room "$U_STATE"
  body "$left"
fi
rm -f "$J/full"
exec 7>&-
case $rc in 124 | 137) [ $((ended - began + 1)) -lt "$U_LIMIT" ] || printf 'timed_out=%s\n' "$U_LIMIT" >>"$J/result" ;; esac
# A child that escaped may hold the pipe open: it does not hold us.
n=0
while kill -0 "$reader" 2>/dev/null && [ "$n" -lt 20 ]; do n=$((n + 1)); sleep 0.05; done
kill "$reader" 2>/dev/null
end "$rc"
