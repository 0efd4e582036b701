rm -rf -- "$U_STATE/jobs/$U_RUN.$U_PHASE-Verify"
boot >"$kept/restart.$U_PHASE" || fail 'the disk is full'
if [ "$U_MANAGER" = commands ]; then
  spare=1
  operator "$U_LIMIT" "$U_RESTART"; rc=$?
  [ "$rc" = 0 ] || { result found "the restart command: exit $rc"; exit "$rc"; }
  exit 0
fi
# For the evidence of a failure: when each start began, by the clock of the boot.
: >"$kept/began.$U_PHASE"
for unit in $U_UNITS; do
  was=$(field "$unit" InvocationID)
  # A crash loop blocks every further start until this is said.
  sys reset-failed "$unit" || :
  sys restart "$unit"; rc=$?
  printf '%s %s\n' "$unit" "$(field "$unit" InactiveExitTimestampMonotonic)" >>"$kept/began.$U_PHASE"
  if [ "$rc" != 0 ]; then
    systemctl $( [ "$U_SCOPE" = user ] && echo --user ) status --no-pager --lines=15 "$unit" 2>&1
    result found "systemctl restart $unit: exit $rc"; exit "$rc"
  fi
  now=$(field "$unit" InvocationID)
  [ "$now" != "$was" ] || fail "$unit has the same InvocationID as before its restart"
done
invocations >"$kept/invocations.$U_PHASE"
