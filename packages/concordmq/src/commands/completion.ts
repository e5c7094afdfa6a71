/** `concordmq completion bash|zsh|fish`: completion scripts made from the command tree itself, so they cannot go stale. */
import { Argument, type Command } from 'commander'

export const shells = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof shells)[number]

export function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print a completion script for a shell')
    .addArgument(new Argument('<SHELL>', 'the shell').choices(shells))
    .addHelpText(
      'after',
      '\nbash: eval "$(concordmq completion bash)"   zsh: the same with zsh   fish: concordmq completion fish | source',
    )
    .action((shell: Shell) => void process.stdout.write(completionScript(program, shell)))
}

/** One place in the tree: the words that lead there and what may follow. */
interface Place {
  /** Space-separated, empty at the root. */
  readonly words: string
  readonly commands: readonly { readonly name: string; readonly about: string }[]
  readonly options: readonly {
    readonly flags: readonly string[]
    readonly about: string
    readonly choices: readonly string[]
  }[]
  readonly choices: readonly string[]
}

export function completionScript(program: Command, shell: Shell): string {
  const places = placesOf(program, [])
  return shell === 'fish' ? fishScript(places) : shell === 'zsh' ? zshScript(places) : bashScript(places)
}

function placesOf(command: Command, words: readonly string[]): Place[] {
  const help = command.createHelp()
  const place: Place = {
    words: words.join(' '),
    commands: command.commands.map((child) => ({ name: child.name(), about: child.description() })),
    options: help.visibleOptions(command).map(({ short, long, description, argChoices }) => ({
      flags: [short, long].filter((flag) => flag !== undefined && flag !== null),
      about: description,
      choices: argChoices ?? [],
    })),
    choices: command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
  }
  return [place, ...command.commands.flatMap((child) => placesOf(child, [...words, child.name()]))]
}

/** Words for bash and zsh: commands and choices, and flags once a dash is typed. */
function caseLines(places: readonly Place[]): string {
  return places
    .map(({ words, commands, options, choices }) => {
      const names = [...commands.map(({ name }) => name), ...choices].join(' ')
      const flags = options.flatMap((option) => option.flags).join(' ')
      return `    '${words}') words='${names}'; flags='${flags}' ;;`
    })
    .join('\n')
}

function knownPlaces(places: readonly Place[]): string {
  return places.map(({ words }) => `'${words}'`).join('|')
}

function valueLines(places: readonly Place[]): string {
  const values = new Map<string, readonly string[]>()
  for (const { options } of places) {
    for (const { flags, choices } of options) if (choices.length > 0) values.set(flags.join('|'), choices)
  }
  return [...values].map(([flags, choices]) => `    ${flags}) values='${choices.join(' ')}' ;;`).join('\n')
}

function bashScript(places: readonly Place[]): string {
  return `# bash completion for concordmq: eval "$(concordmq completion bash)"
_concordmq() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" place='' next='' words='' flags='' values='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    next="\${place:+$place }\${COMP_WORDS[i]}"
    case "$next" in ${knownPlaces(places)}) place="$next" ;; esac
  done
  case "$previous" in
${valueLines(places)}
  esac
  if [[ -n "$values" ]]; then COMPREPLY=($(compgen -W "$values" -- "$current")); return; fi
  case "$place" in
${caseLines(places)}
  esac
  if [[ "$current" == -* ]]; then COMPREPLY=($(compgen -W "$flags" -- "$current"))
  elif [[ -n "$words" ]]; then COMPREPLY=($(compgen -W "$words" -- "$current"))
  else compopt -o default 2>/dev/null; fi
}
complete -F _concordmq concordmq
`
}

function zshScript(places: readonly Place[]): string {
  return `#compdef concordmq
# zsh completion for concordmq: eval "$(concordmq completion zsh)"
_concordmq() {
  local current="\${words[CURRENT]}" previous="\${words[CURRENT-1]}" place='' next='' names='' flags='' values='' i
  local -a line; line=("\${words[@]}")
  for ((i = 2; i < CURRENT; i++)); do
    next="\${place:+$place }\${line[i]}"
    case "$next" in (${knownPlaces(places)}) place="$next" ;; esac
  done
  case "$previous" in
${valueLines(places).replaceAll(/^ {4}/gm, '    (')}
  esac
  if [[ -n "$values" ]]; then compadd -- \${=values}; return; fi
  case "$place" in
${caseLines(places).replaceAll(/^ {4}/gm, '    (').replaceAll(" words='", " names='")}
  esac
  if [[ "$current" == -* ]]; then compadd -- \${=flags}
  elif [[ -n "$names" ]]; then compadd -- \${=names}
  else _files; fi
}
compdef _concordmq concordmq
`
}

function fishScript(places: readonly Place[]): string {
  const lines = ['# fish completion for concordmq: concordmq completion fish | source']
  for (const { words, commands, options, choices } of places) {
    const path = words === '' ? [] : words.split(' ')
    const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`)
    const deeper = commands.map(({ name }) => name)
    const condition = [
      ...seen,
      ...(deeper.length > 0 ? [`not __fish_seen_subcommand_from ${deeper.join(' ')}`] : []),
    ].join('; and ')
    const when = condition === '' ? '' : ` -n '${condition}'`
    for (const { name, about } of commands)
      lines.push(`complete -c concordmq -f${when} -a ${name} -d '${fishText(about)}'`)
    for (const choice of choices) lines.push(`complete -c concordmq -f${when} -a ${choice}`)
    for (const { flags, about, choices: values } of options) {
      const names = flags
        .map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`))
        .join(' ')
      const value = values.length > 0 ? ` -x -a '${values.join(' ')}'` : ''
      lines.push(`complete -c concordmq${when} ${names}${value} -d '${fishText(about)}'`)
    }
  }
  return `${lines.join('\n')}\n`
}

function fishText(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")
}
