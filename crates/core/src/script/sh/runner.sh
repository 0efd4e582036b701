# Begins the job of a step, or finds the one that was begun, and waits for its end. Runs in the SSH session; the
# job does not: when this is cut off, the job goes on, and the next runner finds it by its folder.
# Whose answer this is: one that was kept from another command, or made up, names another.
say run "$U_RUN"; say step "$U_STEP"
S=$(uphaul_dir) || { say state refused; say why "$U_DIR is not a git checkout, or not one that $me may read"; exit 0; }
# For this user alone: outputs of commands and the values of steps lie there.
mkdir -p "$S/jobs" 2>/dev/null && chmod 700 "$S" 2>/dev/null && : 2>/dev/null >>"$S/lock" || { say state refused; say why "$S cannot be written"; exit 0; }
J=$S/jobs/$U_RUN.$U_STEP
# A run that finds another at work where it has recorded the host before has lost it.
held() { if [ "$U_STEP" = prepare-Record ]; then say state held; else say state fenced; fi; say by "$1"; exit 0; }
read_claim "$S"
if [ "$U_FENCE" = new ] && claim_lives && [ "$c_run" != "$U_RUN" ]; then
  case " $U_SETTLED " in *" $c_run "*) ;; *)
    held "$c_owner (run $c_run, $(($(up) - c_up)) s ago)" ;;
  esac
fi
# A job of this run may hold the lock for as long as its limit; nobody else may.
exec 9>>"$S/lock"
if ! flock -w "$U_WAIT_S" 9; then
  by="a job of run ${c_run:-unknown} ($c_owner), which holds the lock"
  case $c_run in "$U_RUN" | '') say state held; say by "$by"; exit 0 ;; *) held "$by" ;; esac
fi
# A switch that takes the host back holds the lock. Where it was cut off (a reboot, a try that failed) it begins anew by
# itself, and is waited for; one that does not is over, and its run is told.
began=$(up)
read_switch "$S"
while [ "$s_run:$s_state" = "$U_RUN:reverting" ] && [ $(($(up) - began)) -lt "$U_WAIT_S" ]; do
  exec 9>&-; sleep 1; exec 9>>"$S/lock"
  flock -w "$U_WAIT_S" 9 || { say state held; say by "the dead-man's switch of this run, which takes the host back"; exit 0; }
  read_switch "$S"
done
read_claim "$S"
if [ "$s_run:$s_state" = "$U_RUN:reverting" ]; then
  # It may have had no time to take its number.
  mark_switch failed "$U_RUN" "$c_fence" "$s_before" "$s_note; it was cut off"
  s_fence=$c_fence
fi
acted=''
case $s_run:$s_state in "$U_RUN:reverting" | "$U_RUN:reverted" | "$U_RUN:failed") acted=1 ;; esac
# Who drove until the switch acted is not overtaken by anybody: it is told, and gets a number of its own.
# Where that answer was lost, the number after the switch's is its own.
ours() { [ "$c_fence" -gt "$s_fence" ] && [ "$c_run:$c_owner" = "$U_RUN:$U_OWNER" ] && [ "$U_SEQ" -ge "$c_seq" ]; }
if [ -n "$acted" ] && [ "$U_FENCE" = "$s_before" ] && { [ "$c_fence" = "$s_fence" ] || ours; }; then U_FENCE=new; fi
ttl=$((U_LIMIT + 90))
write_ours() { write_claim "$U_FENCE" "$U_RUN" "$ttl" "$c_over" "$U_OWNER" "$U_SEQ"; }
fenced() { say state fenced; say by "$1"; exit 0; }
# Each step of the way back gets some of the room that Record put aside for it.
[ "${U_PHASE:-}" != rollback ] || room "$S"
if [ "$U_FENCE" = new ]; then
  if claim_lives && [ "$c_run" != "$U_RUN" ]; then
    case " $U_SETTLED " in *" $c_run "*) ;; *) held "$c_owner (run $c_run)" ;; esac
  fi
  # A driver that slept before its first command, while another one went on with its run, comes with an older number
  # of the log, or for a run that is over here, or for one whose folder a later run has cleared away.
  [ "$c_over" != "$U_RUN" ] || fenced "$c_owner: run $U_RUN is over on this host"
  if [ "$c_run" = "$U_RUN" ] && [ "$U_SEQ" -lt "$c_seq" ]; then fenced "$c_owner (run $c_run, transition $c_seq; ours was $U_SEQ)"; fi
  if [ "$U_STEP" != prepare-Record ] && [ ! -d "$S/runs/$U_RUN" ]; then
    fenced "a run that recorded this host since (${c_run:-it is over}, $c_owner), or the checkout was made anew"
  fi
  # A switch of another run would take this run's work back. One of a run that is known to be over is void.
  if [ "$s_run" != "$U_RUN" ]; then case $s_state in armed | reverting)
    case " $U_SETTLED " in
    *" $s_run "*) mark_switch void "$s_run" "$s_fence" "$s_before" "void since run $U_RUN" || { say state refused; say why "$S/switch cannot be written (disk full?)"; exit 0; } ;;
    *)
      when="in $(switch_left) s"; case $when in *-*) when='now, or is dead: uphaul check HOST --fix' ;; esac
      held "the dead-man's switch of run $s_run, which takes the host back $when" ;;
    esac ;;
  esac; fi
  U_FENCE=$((c_fence + 1))
  write_ours || { room "$S"; write_ours; } ||
    { say state refused; say why "$S/claim cannot be written (disk full?)"; exit 0; }
  sync "$S/claim" 2>/dev/null
elif [ "$U_FENCE" = "$c_fence" ]; then
  write_ours
elif [ ! -e "$S/claim" ]; then
  fenced "nobody: somebody removed $S, or made the checkout anew, while the run went on"
else
  fenced "$c_owner (run $c_run, number $c_fence; ours was $U_FENCE)"
fi
say fence "$U_FENCE"
if [ "$U_STEP" = release ]; then
  write_claim "$U_FENCE" '' 0 "$U_RUN" "$U_OWNER" "$U_SEQ"
  rm -rf "$S/reserve"
  say state done; say rc 0; exit 0
fi
[ "$U_ACTION" != restart ] || [ "$U_RESTART_UNIT" != 1 ] || [ "$U_MANAGER" != systemd ] || U_LIMIT=$(restart_limit)
# Reading the switch and putting it off is one script under the lock, so a resume cannot lose to a firing in between. It
# is put off until the job has begun, which puts it off for as long as it may take itself.
put_off "$S" 30 || [ "$U_PHASE" = rollback ] ||
  { say state refused; say why "$S/switch/deadline cannot be written (disk full?)"; exit 0; }
told() { say state reverted; say by "$s_note"; exit 0; }
if [ -n "$acted" ] && { [ "$U_ACTION" = confirm ] || [ "$U_KNOWS_REVERTED" != 1 ]; }; then told; fi
# An Arm that failed ends its run, so it leaves nothing that acts. Under the lock, and not where another driver drives.
unset_switch() {
  [ "$U_ACTION" = arm ] && [ "$(cat "$J/rc" 2>/dev/null)" != 0 ] || return 0
  exec 9>>"$S/lock"; flock -w "$U_WAIT_S" 9 || return 0
  read_switch "$S"
  case $s_run:$s_state in "$U_RUN:reverting" | "$U_RUN:reverted" | "$U_RUN:failed") told ;; esac
  read_claim "$S"
  [ "$s_run:$s_state:$c_fence" = "$U_RUN:armed:$U_FENCE" ] || return 0
  rm -f "$S/switch/state" "$S/switch/vars"
  drop_switch
}
# From the mark on, a Confirm has done what it is for; only the tidying up was cut off.
confirmed() {
  [ "$U_ACTION" = confirm ] || return 1
  read_switch "$S"; [ "$s_run:$s_state" = "$U_RUN:confirmed" ] && ! grep -qs '^fenced=' "$J/result"
}
report() {
  # A job that the switch was quicker than.
  if grep -qs '^fenced=' "$J/result"; then
    read_switch "$S"; case $s_run:$s_state in "$U_RUN:reverting" | "$U_RUN:reverted" | "$U_RUN:failed") told ;; esac
  fi
  unset_switch
  say state done
  say boot "$(cat "$J/boot" 2>/dev/null)"
  say now "$(boot)"
  if confirmed; then say rc 0; else say rc "$(cat "$J/rc")"; fi
  sed -n 's/^\([a-z_]*=\)/\1/p' "$J/result" 2>/dev/null | head -n 64
  printf -- '--\n'
  { cat "$J/out" "$J/more"; } 2>/dev/null | tail -c 8192
}
# The lock is ours, so no job of ours runs. With a result there is nothing to do; without one it was never begun, or
# it was ended by a reboot or by the kernel: begin it (again). What was restarted or verified before a
# reboot proves nothing, nor does a proof of long ago: the service may have ended since.
fresh() {
  [ "$(cat "$J/boot")" = "$(boot)" ] || return 1
  [ "$U_ACTION" = verify ] || return 0
  _at=$(cat "$J/at" 2>/dev/null); [ -n "$_at" ] && [ $(($(up) - _at)) -le 60 ]
}
if [ -s "$J/rc" ] && ! grep -qs '^notbegun=' "$J/result"; then
  case $U_STEP in
  *-Verify | *-Restart) if fresh; then put_off "$S" 0; report; exit 0; fi ;;
  *) put_off "$S" 0; report; exit 0 ;;
  esac
fi
# What a try of Arm that was ended left is armed anew, or is not there at all.
if [ "$U_ACTION" = arm ]; then read_switch "$S"; [ "$s_run" != "$U_RUN" ] || rm -f "$S/switch/state"; fi
rm -rf -- "$J" && mkdir -p "$J/turn" || { say state refused; say why "$J cannot be made (disk full?)"; exit 0; }
token=$(boot | cut -c 1-8)-$(up)-$$
U_TOKEN=$token U_STATE=$S U_JOB=$J U_FENCE=$U_FENCE
export U_TOKEN U_STATE U_JOB U_FENCE U_LIMIT
( umask 077; export -p >"$J/vars"; printf '%s' "$token" >"$J/token"; printf '%s\n' "$U_JOB_TEXT" >"$J/job" ) ||
  { say state refused; say why "$J cannot be written (disk full?)"; exit 0; }
exec 9>&-
# A unit of its own where that is allowed: its control group is killed whole at the end, whoever called setsid.
begin_unit() {
  [ "$U_UNIT_JOBS" = 1 ] && [ -d /run/systemd/system ] && command -v systemd-run >/dev/null 2>&1 || return 1
  set -- systemd-run --quiet --collect --no-ask-password "--unit=uphaul-$U_RUN-$U_STEP-$(up)-$$" "--description=uphaul $U_STEP of run $U_RUN" \
    -p "RuntimeMaxSec=$((U_LIMIT + 60))" -p KillSignal=SIGKILL -p TimeoutStopSec=10 -- sh "$J/job" "$J"
  if [ "$U_SCOPE" = user ]; then shift; systemd-run --user "$@" >/dev/null 2>&1 </dev/null; return $?; fi
  shift
  if [ "$(id -u)" = 0 ]; then systemd-run "$@" >/dev/null 2>&1 </dev/null; return $?; fi
  sudo -n -l systemd-run >/dev/null 2>&1 || return 1
  sudo -n systemd-run "--uid=$me" "$@" >/dev/null 2>&1 </dev/null
}
begin_session() { setsid sh "$J/job" "$J" </dev/null >/dev/null 2>&1 & }
begin_unit || begin_session
# The job says that it lives, and then holds its own lock to its end, however that comes.
_n=0
while [ ! -e "$J/started" ] && [ ! -s "$J/rc" ]; do
  _n=$((_n + 1))
  # Given up only with its turn taken away; else it has just begun, and is waited for.
  if [ "$_n" -gt 600 ] && rmdir "$J/turn" 2>/dev/null; then say state died; say why 'the job did not begin within 30 s'; exit 0; fi
  [ "$_n" -le 2400 ] || { say state refused; say why 'the job neither began nor ended within 2 minutes'; exit 0; }
  sleep 0.05
done
exec 8>>"$J/alive"
flock -s -w "$((U_LIMIT + 90))" 8 || { say state died; say why "the job did not end within $((U_LIMIT + 90)) s"; exit 0; }
if [ -s "$J/rc" ]; then report; exit 0; fi
unset_switch
if confirmed; then say state done; say rc 0; exit 0; fi
say state died; say why 'the job ended without a result (killed, out of memory, or the disk is full)'
printf -- '--\n'; cat "$J/out" 2>/dev/null | tail -c 8192
exit 0
