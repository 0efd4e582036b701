# Whether what is to be checked out is signed by one of the keys of U_SIGNERS. What the repository's own configuration
# says of programs, formats and trust does not count here.
verified() {
  g -c gpg.format=ssh -c gpg.ssh.program=ssh-keygen -c "gpg.ssh.allowedSignersFile=$U_JOB/signers" -c gpg.program=false \
    -c gpg.openpgp.program=false -c gpg.x509.program=false -c gpg.minTrustLevel=fully "$@" >"$U_JOB/said" 2>&1
}
why_not() { if [ -s "$U_JOB/said" ]; then tail -n 2 "$U_JOB/said" | tr '\n\r' '; ' | cut -c 1-300; else printf 'it has no signature'; fi; }
signed() {
  printf '%s\n' "$U_SIGNERS" >"$U_JOB/signers" || fail 'the disk is full'
  verified verify-commit "$U_TARGET" && return 0
  no="the commit $U_TARGET is not signed by a key of service.allowed_signers: $(why_not)"
  # A tag counts only where it was asked for by its name.
  case $U_REFERENCE in refs/tags/*) tag=${U_REFERENCE#refs/tags/} ;; refs/*) tag= ;; *) tag=$U_REFERENCE ;; esac
  [ -n "$tag" ] && g fetch --quiet --no-tags --no-recurse-submodules $depth origin "+refs/tags/$tag:refs/uphaul/tags/$tag" 2>/dev/null || fail "$no"
  object=$(g rev-parse --verify --quiet "refs/uphaul/tags/$tag")
  [ "$(g cat-file -t "$object" 2>/dev/null)" = tag ] || fail "$no"
  [ "$(g rev-parse --verify --quiet "$object^{commit}")" = "$U_TARGET" ] || fail "$no; the tag $tag is of another commit by now"
  # A signed tag of an older version under another name is no signature of that name.
  made=$(g cat-file tag "$object" | sed -n '/^$/q; s/^tag //p' | head -n 1)
  [ "$made" = "$tag" ] || fail "$no; the tag $tag was made, and maybe signed, as $made"
  verified verify-tag "$object" || fail "$no; nor is the tag $tag: $(why_not)"
}
