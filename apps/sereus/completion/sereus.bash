# bash completion for sereus, made by `sereus completion bash`.
_sereus_offer() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }
_sereus_offer_files() { compopt -o filenames; mapfile -t COMPREPLY < <(compgen "$1" -- "$cur"); }
_sereus_offer_lines() {
  local IFS=$'\n' line
  COMPREPLY=()
  while read -r line; do
    [[ $line == "$cur"* ]] && COMPREPLY+=("$(printf '%q' "$line")")
  done < <("${COMP_WORDS[0]}" "${_sereus_data[@]}" __complete "$1" "$cur" 2>/dev/null)
}
_sereus() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= word i skip= positional=0
  local -a _sereus_data=()
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ -n $skip ]]; then
      [[ $skip == --data ]] && _sereus_data=(--data "$word")
      skip=
      continue
    fi
    case $word in
      --authorities|--backup-passphrase-file|--bytes|--certificate|--confirm|--connections-max|--count|--data|--down|--down-limit|--expires|--file|--interval|--key|--limit|--listen|--log-level|--name|--new-passphrase-file|--output|--passphrase-file|--prefix|--resume|--role|--security|--size|--start|--store|--streams|--timeout|--transport|--up|--up-limit|--uses|-f|-n|-o) skip=$word ;;
      -*) ;;
      *) if [[ -z $command ]]; then command=$word; else positional=$((positional + 1)); fi ;;
    esac
  done
  case $prev in
    --data) _sereus_offer_files -d; return ;;
    --store) _sereus_offer_lines stores; return ;;
    --timeout) :; return ;;
    --passphrase-file) _sereus_offer_files -f; return ;;
    --log-level) _sereus_offer "error warn info debug trace"; return ;;
    --name) :; return ;;
    --backup-passphrase-file) _sereus_offer_files -f; return ;;
    --new-passphrase-file) _sereus_offer_files -f; return ;;
    --confirm) :; return ;;
    --file|-f) _sereus_offer_files -f; return ;;
    --output|-o) _sereus_offer_files -f; return ;;
    --limit) :; return ;;
    --resume) :; return ;;
    --prefix) :; return ;;
    --size) :; return ;;
    --start) :; return ;;
    --role) _sereus_offer "read write admin"; return ;;
    --uses) :; return ;;
    --expires) :; return ;;
    --listen) :; return ;;
    --transport) :; return ;;
    --security) :; return ;;
    --up-limit) :; return ;;
    --down-limit) :; return ;;
    --authorities) :; return ;;
    --connections-max) :; return ;;
    --certificate) :; return ;;
    --key) :; return ;;
    --count|-n) :; return ;;
    --interval) :; return ;;
    --bytes) :; return ;;
    --streams) :; return ;;
    --up) :; return ;;
    --down) :; return ;;
  esac
  case $command in
    '')
      if [[ $cur == -* ]]; then _sereus_offer "--help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      else _sereus_offer "init backup restore passphrase erase create-store list-stores use delete-store drop-store verify put get delete list heads watch fill import export invite invites revoke-invite join peers remove add-address sync up status version doctor bundle listen ping identify echo perf shell completion"; fi ;;
    init)
      if [[ $cur == -* ]]; then _sereus_offer "--help --name --no-passphrase --light-kdf --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    backup)
      if [[ $cur == -* ]]; then _sereus_offer "--help --backup-passphrase-file --force --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_files -f
      fi ;;
    restore)
      if [[ $cur == -* ]]; then _sereus_offer "--help --backup-passphrase-file --name --no-passphrase --light-kdf --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_files -f
      fi ;;
    passphrase)
      if [[ $cur == -* ]]; then _sereus_offer "--help --new-passphrase-file --remove --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    erase)
      if [[ $cur == -* ]]; then _sereus_offer "--help --confirm --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    create-store)
      if [[ $cur == -* ]]; then _sereus_offer "--help --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    list-stores)
      if [[ $cur == -* ]]; then _sereus_offer "--help --names --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    use)
      if [[ $cur == -* ]]; then _sereus_offer "--help --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_lines stores
      fi ;;
    delete-store)
      if [[ $cur == -* ]]; then _sereus_offer "--help --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_lines stores
      fi ;;
    drop-store)
      if [[ $cur == -* ]]; then _sereus_offer "--help --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_lines stores
      fi ;;
    verify)
      if [[ $cur == -* ]]; then _sereus_offer "--help --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_lines stores
      fi ;;
    put)
      if [[ $cur == -* ]]; then _sereus_offer "--help --escaped --file --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_lines keys
      fi ;;
    get)
      if [[ $cur == -* ]]; then _sereus_offer "--help --escaped --output --force --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_lines keys
      fi ;;
    delete)
      if [[ $cur == -* ]]; then _sereus_offer "--help --escaped --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_lines keys
      fi ;;
    list)
      if [[ $cur == -* ]]; then _sereus_offer "--help --escaped --values --long --limit --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_lines keys
      fi ;;
    heads)
      if [[ $cur == -* ]]; then _sereus_offer "--help --escaped --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_lines keys
      fi ;;
    watch)
      if [[ $cur == -* ]]; then _sereus_offer "--help --escaped --from-start --resume --limit --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_lines keys
      fi ;;
    fill)
      if [[ $cur == -* ]]; then _sereus_offer "--help --prefix --size --start --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    import)
      if [[ $cur == -* ]]; then _sereus_offer "--help --prefix --skip-large --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_files -d
      fi ;;
    export)
      if [[ $cur == -* ]]; then _sereus_offer "--help --prefix --force --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_files -d
      fi ;;
    invite)
      if [[ $cur == -* ]]; then _sereus_offer "--help --role --uses --expires --qr --no-qr --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_lines peers
      fi ;;
    invites)
      if [[ $cur == -* ]]; then _sereus_offer "--help --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    revoke-invite)
      if [[ $cur == -* ]]; then _sereus_offer "--help --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    join)
      if [[ $cur == -* ]]; then _sereus_offer "--help --no-wait --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    peers)
      if [[ $cur == -* ]]; then _sereus_offer "--help --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    remove)
      if [[ $cur == -* ]]; then _sereus_offer "--help --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_lines peers
      fi ;;
    add-address)
      if [[ $cur == -* ]]; then _sereus_offer "--help --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_lines peers
      fi ;;
    sync)
      if [[ $cur == -* ]]; then _sereus_offer "--help --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_lines stores
      elif ((positional == 1)); then _sereus_offer_lines peers
      fi ;;
    up)
      if [[ $cur == -* ]]; then _sereus_offer "--help --listen --offline --transport --security --up-limit --down-limit --authorities --any-server --connections-max --metered --certificate --key --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    status)
      if [[ $cur == -* ]]; then _sereus_offer "--help --digest --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    version)
      if [[ $cur == -* ]]; then _sereus_offer "--help --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    doctor)
      if [[ $cur == -* ]]; then _sereus_offer "--help --deep --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    bundle)
      if [[ $cur == -* ]]; then _sereus_offer "--help --force --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer_files -f
      fi ;;
    listen)
      if [[ $cur == -* ]]; then _sereus_offer "--help --listen --echo --transport --security --up-limit --down-limit --authorities --any-server --connections-max --metered --certificate --key --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    ping)
      if [[ $cur == -* ]]; then _sereus_offer "--help --transport --security --up-limit --down-limit --authorities --any-server --count --interval --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    identify)
      if [[ $cur == -* ]]; then _sereus_offer "--help --transport --security --up-limit --down-limit --authorities --any-server --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    echo)
      if [[ $cur == -* ]]; then _sereus_offer "--help --transport --security --up-limit --down-limit --authorities --any-server --bytes --streams --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    perf)
      if [[ $cur == -* ]]; then _sereus_offer "--help --transport --security --up-limit --down-limit --authorities --any-server --up --down --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    shell)
      if [[ $cur == -* ]]; then _sereus_offer "--help --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      fi ;;
    completion)
      if [[ $cur == -* ]]; then _sereus_offer "--help --help --version --data --store --json --timeout --passphrase-file --verbose --log-level --quiet"
      elif ((positional == 0)); then _sereus_offer "bash zsh fish"
      fi ;;
  esac
}
complete -F _sereus sereus
