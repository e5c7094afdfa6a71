/** The command tree. Each command declares its flags in its own file and loads its work only when it runs. */
import { Command } from 'commander'
import { addAcl } from './commands/acl.ts'
import { addAddressBook } from './commands/address-book.ts'
import { addCompletion } from './commands/completion.ts'
import { addConfig } from './commands/config.ts'
import { addCtl } from './commands/ctl.ts'
import { addData } from './commands/data.ts'
import { addDemo } from './commands/demo.ts'
import { addDev } from './commands/dev.ts'
import { addPub } from './commands/pub.ts'
import { addReset } from './commands/reset.ts'
import { addRun } from './commands/run.ts'
import { addSub } from './commands/sub.ts'
import { addUser } from './commands/user.ts'
import { addVerify } from './commands/verify.ts'
import { suggest } from './config/suggest.ts'
import { programVersion } from './version.ts'

/** A fresh tree: commander keeps parsed values inside, so every call of `main()` has its own. */
export function buildProgram(): Command {
  const program = new Command('concordmq')
  program
    .description('ConcordMQ, a decentralized MQTT broker')
    .version(programVersion(), '--version', 'print the version')
    // Flags before the command are the program's, after it the command's: `pub -V 5` is not a question for the version.
    .enablePositionalOptions()
    .showHelpAfterError("(add --help for usage, or see 'concordmq --help')")
    .configureOutput({ outputError: (text, write) => write(withoutValue(text, program)) })
  addRun(program)
  addDev(program)
  addDemo(program)
  addAddressBook(program)
  addUser(program)
  addAcl(program)
  addConfig(program)
  addData(program)
  addPub(program)
  addSub(program)
  addCtl(program)
  addReset(program)
  addVerify(program)
  addCompletion(program)
  throwInsteadOfExit(program)
  return program
}

/**
 * `--secret-kee=…` must not end up in a log with its value. Commander suggests nothing for a flag with a value, so that is
 * made good for here.
 */
function withoutValue(text: string, program: Command): string {
  const match = /unknown option '(-[^=']*)=[\s\S]*'/.exec(text)
  if (match === null) return text
  const near = suggest(match[1] ?? '', longFlags(program))
  return (
    text.replace(match[0], `unknown option '${match[1]}'`) + (near === undefined ? '' : `(Did you mean ${near}?)\n`)
  )
}

function longFlags(command: Command): string[] {
  const own = command.options.map(({ long }) => long).filter((long) => typeof long === 'string')
  return [...own, ...command.commands.flatMap(longFlags)]
}

function throwInsteadOfExit(command: Command): void {
  command.exitOverride()
  for (const child of command.commands) throwInsteadOfExit(child)
}
