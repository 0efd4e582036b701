# The dead-man's switch: waits on the host itself, and takes it back when no driver has put that off in time. Begun by
# systemd, also at boot. `state` decides; a switch that was confirmed, voided or replaced just ends.
S=$U_STATE W=$S/switch
# After a reboot the window counts anew, from now: in a container the uptime may be that of its machine.
read_switch "$S"
[ "$s_run:$s_state:$s_boot" = "$U_RUN:armed:$(boot)" ] || [ "$s_run:$s_state" != "$U_RUN:armed" ] || push_switch "$S" "$U_WINDOW"
boot >"$W/awake.new" && mv -f "$W/awake.new" "$W/awake"
# What a try failed at may pass (somebody's git, a dependency that comes up): time for that, without the lock. One that was cut
# off is made again at once.
case $s_run:$s_state:$s_note in "$U_RUN:reverting:try 1"*) sleep 30 ;; "$U_RUN:reverting:try 2"*) sleep 120 ;; esac
due() {
  read_switch "$S"
  [ "$s_run" = "$U_RUN" ] || exit 0
  case $s_state in armed) [ "$(switch_left)" -le 0 ] ;; reverting) return 0 ;; reverted | failed) over ;; *) exit 0 ;; esac
}
# The unit goes too, under the lock: no run may set a new switch meanwhile.
over() {
  exec 9>>"$S/lock"; flock -w 60 9 || exit 0
  read_switch "$S"
  case $s_run:$s_state in "$U_RUN:reverted" | "$U_RUN:failed") rm -f "$W/vars"; drop_switch keep ;; esac
  exit 0
}
while :; do
  if ! due; then left=$(switch_left); [ "$left" -lt 5 ] || left=5; sleep "$left"; continue; fi
  # Under the lock of the host: never beside a step of a driver, and none begins before this is over.
  exec 9>>"$S/lock"
  if flock -w 600 9 && due; then break; fi
  exec 9>&-
done
# Each try takes a file away, which needs no room on the disk.
tries=1
while [ "$tries" -le 3 ] && [ ! -e "$W/try$tries" ]; do tries=$((tries + 1)); done
read_claim "$S"
before=$c_fence
[ "$s_state" != reverting ] || before=$s_before
by="the dead-man's switch of run $U_RUN"
# How late it began, told by the first try and kept by those after it.
end=' s after its time was up'
case $s_state:$s_note in
reverting:*', begun '*"$end"*) late=${s_note#*, begun } late=", begun ${late%%"$end"*}$end" ;;
reverting:*) late='' ;;
*) late=", begun $((0 - $(switch_left)))$end" ;;
esac
room "$S"
if [ "$tries" -gt 3 ]; then
  mark_switch failed "$U_RUN" "$c_fence" "$before" "$s_note; that was the last"
  write_claim "$c_fence" "$U_RUN" -1 "$c_over" "$by" "$c_seq"
  over
fi
rm -f "$W/try$tries"
fence=$((c_fence + 1))
# The mark comes before the claim, and alone keeps jobs and runners out. Cut off before it: still armed, a driver goes on with
# its number. Between the two: a driver waits for the next try, which takes this number again, or finds it failed and has its own.
mark_switch reverting "$U_RUN" "$fence" "$before" "its try $tries$late, $(up) s after the boot, was cut off"
write_claim "$fence" "$U_RUN" 3600 "$c_over" "$by" "$c_seq"
kept=$S/runs/$U_RUN
# What this run's jobs proved is void now.
for _j in "$S/jobs/$U_RUN".*; do case $_j in *.switch-*) ;; *) rm -rf -- "$_j" ;; esac; done
touched=''; [ ! -e "$kept/restart.update" ] || touched=1
# step NAME LIMIT: one step of a rollback, as a driver has it done.
step() {
  U_JOB=$S/jobs/$U_RUN.switch-$1 U_LIMIT=$2; export U_JOB U_LIMIT
  room "$S"
  rm -rf -- "$U_JOB"; mkdir -p "$U_JOB" && mkfifo "$U_JOB/pipe"
  ( stdbuf -o0 head -c 65536 >"$U_JOB/out"; cat >/dev/null ) <"$U_JOB/pipe" 2>/dev/null 9>&- & _reader=$!
  timeout -k 10 "$2" sh "$W/$1" >"$U_JOB/pipe" 2>&1 </dev/null 9>&-; _rc=$?
  # A child that escaped may hold the pipe open: it does not hold us.
  _n=0
  while kill -0 "$_reader" 2>/dev/null && [ "$_n" -lt 20 ]; do _n=$((_n + 1)); sleep 0.05; done
  kill "$_reader" 2>/dev/null
  printf '%s\n' "$_rc" >"$U_JOB/rc"
  [ "$_rc" != 0 ] || return 0
  failed="$1, exit $_rc: $(sed -n 's/^found=//p' "$U_JOB/result" 2>/dev/null | tail -n 1) $(tail -n 1 "$U_JOB/out" 2>/dev/null | tr '\n\r' '  ' | cut -c 1-300)"
  return 1
}
back() {
  step checkout "$U_REVERT_GIT_S" || return 1
  # A running old service beats a tidy failure, where the update may have restarted it.
  _untidy=''
  step install "$U_REVERT_INSTALL_S" || { [ -n "$touched" ] || return 1; _untidy=1; }
  _limit=$U_REVERT_RESTART_S; [ "$U_RESTART_UNIT" != 1 ] || _limit=$(restart_limit)
  step restart "$_limit" && [ -z "$_untidy" ]
}
failed=''
if back; then
  # The switch never proves health: a driver does, from what it finds.
  rm -f "$kept/restart.rollback" "$kept/restart.update" "$kept/invocations.rollback" "$kept/invocations.update"
  mark_switch reverted "$U_RUN" "$fence" "$before" "went back to $U_TO at try $tries$late, done $(up) s after the boot $(boot | cut -c 1-8)" || exit 1
  write_claim "$fence" "$U_RUN" -1 "$c_over" "$by" "$c_seq"
  exec 9>&-; over
fi
mark_switch reverting "$U_RUN" "$fence" "$before" "try $tries$late, failed at $failed"
exit 1
