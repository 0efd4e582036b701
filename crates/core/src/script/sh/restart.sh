rm -rf -- "$U_STATE/jobs/$U_RUN.$U_PHASE-Verify"
rm -f -- "$kept/began.$U_PHASE"
boot >"$kept/restart.$U_PHASE" || fail 'the disk is full'
if [ "$U_MANAGER" = commands ]; then
  spare=1
  operator "$U_LIMIT" "$U_RESTART"; rc=$?
  [ "$rc" = 0 ] || { result found "the restart command: exit $rc"; exit "$rc"; }
  exit 0
fi
# For the evidence of a failure: when the first start that this restart made began, by the clock of the boot. A unit that was
# started anew since has a later time in one of the two; what was not started at all has none.
start_times() { show -p InactiveExitTimestampMonotonic,ExecMainStartTimestampMonotonic --value -- "$1" 2>/dev/null | tr '\n' ' '; }
began() {
  at=
  for n in $(start_times "$1"); do
    case $n: in *[!0-9]*: | 0:) continue ;; esac
    case " $2 " in *" $n "*) continue ;; esac
    [ -n "$at" ] && [ "$at" -le "$n" ] || at=$n
  done
  [ -z "$at" ] || printf '%s %s\n' "$1" "$at" >>"$kept/began.$U_PHASE"
}
for unit in $U_UNITS; do
  was=$(field "$unit" InvocationID) was_at=$(start_times "$unit")
  # A crash loop blocks every further start until this is said.
  sys reset-failed "$unit" || :
  sys restart "$unit"; rc=$?
  began "$unit" "$was_at"
  if [ "$rc" != 0 ]; then
    systemctl $( [ "$U_SCOPE" = user ] && echo --user ) status --no-pager --lines=15 "$unit" 2>&1
    result found "systemctl restart $unit: exit $rc"; exit "$rc"
  fi
  now=$(field "$unit" InvocationID)
  [ "$now" != "$was" ] || fail "$unit has the same InvocationID as before its restart"
done
invocations >"$kept/invocations.$U_PHASE"
