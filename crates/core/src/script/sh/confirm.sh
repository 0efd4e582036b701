# Disarms the switch of this run. From the rename in `mark_switch` on it never acts; the rest is tidying up.
S=$U_STATE
read_switch "$S"
[ "$s_run" = "$U_RUN" ] || exit 0
if [ "$s_state" = armed ]; then
  # To remove it needs no room, and disarms as well.
  mark_switch confirmed "$U_RUN" 0 0 'confirmed' || rm -f "$S/switch/state" || fail "$S/switch/state cannot be written (disk full?)"
fi
rm -f "$S/switch/vars"
drop_switch
exit 0
