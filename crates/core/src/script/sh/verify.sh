# What the switch left half done is no proof, however healthy it looks.
read_switch "$U_STATE"
[ "$s_run:$s_state" != "$U_RUN:failed" ] || fail "the host went back by itself, and did not come to the end of it: $s_note"
# A reboot since the restart voids it: what runs now was started by nobody who waited for it.
if [ -e "$kept/restart.$U_PHASE" ] && [ "$(cat "$kept/restart.$U_PHASE")" != "$(boot)" ]; then result rebooted 1; exit 0; fi
# Hundredths of a second since this boot: in whole ones, 1 s may pass between two readings of the same instant.
fine() {
  read -r _up _ </proc/uptime
  case $_up in *.[0-9][0-9]) ;; *) _up=${_up%%.*}.00 ;; esac
  printf '%s' "$((${_up%.*} * 100 + 1${_up#*.} - 100))"
}
began=$(fine) since='' first='' seen='nothing was seen yet'
state_of() {
  [ "$U_MANAGER" = systemd ] || return 0
  for unit in $U_UNITS; do
    if [ "$U_SCOPE" = user ]; then systemctl --user status --no-pager --lines=15 "$unit"; else systemctl status --no-pager --lines=15 "$unit"; fi 2>&1
  done
}
while :; do
  now=$(fine)
  at=$(head_now)
  [ "$at" = "$U_TO" ] || fail "HEAD is $at and not $U_TO: somebody else changes this checkout"
  if [ "$U_MANAGER" = systemd ] && [ -s "$kept/invocations.$U_PHASE" ]; then
    id=$(invocations)
    [ "$id" = "$(cat "$kept/invocations.$U_PHASE")" ] || { state_of; fail 'the service ended and was started anew since its restart (a crash loop?)'; }
  fi
  if id=$(identity); then
    [ -n "$first" ] || first=$id
    [ "$id" = "$first" ] || { state_of; fail "the service does not stay the same process: it was $first it is $id"; }
    if why=$(probe); then
      # From the end of the first good answer to the begin of the last one: a slow answer proves no more than a quick one.
      [ -n "$since" ] || { since=$(fine); now=$since; }
      # Some containers (lxcfs) are told whole seconds: of them one more has to go by.
      case $since:$now in "$now:"*) whole=0 ;; *00:*00) whole=100 ;; *) whole=0 ;; esac
      [ $((now - since)) -lt $((U_HEALTHY_S * 100 + whole)) ] || {
        put_back
        [ ! -e "$kept/edits_failed" ] || fail "the service is back; the edits by hand do not apply, and are kept in refs/uphaul/edits/$U_RUN"
        result head "$at" || fail 'what is checked out cannot be told (disk full?)'
        exit 0
      }
    else
      since='' seen=$why
    fi
  else
    told=$? seen=$id since=''
    case $id in *'is failed ('* | *'is inactive ('*) state_of; fail "$id" ;; esac
    # What gave no answer did not say that the service is gone: it is asked again.
    [ "$told" = 2 ] || [ -z "$first" ] || { state_of; fail "it ran and does not any more: $id"; }
  fi
  # One that is healthy when the time is over is given what it needs to show that it stays so.
  [ $((now - began)) -lt $((U_VERIFY_S * 100)) ] || [ -n "$since" ] || break
  sleep 0.25
done
state_of
fail "not healthy for $U_HEALTHY_S s within $U_VERIFY_S s: $seen"
