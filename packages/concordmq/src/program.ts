/** The command tree. Each command declares its flags in its own file and loads its work only when it runs. */
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { addAddressBook } from './commands/address-book.ts'
import { addCompletion } from './commands/completion.ts'
import { addConfig } from './commands/config.ts'
import { addDev } from './commands/dev.ts'
import { addPub } from './commands/pub.ts'
import { addRun } from './commands/run.ts'
import { addSub } from './commands/sub.ts'
import { addUser } from './commands/user.ts'

/** A fresh tree: commander keeps parsed values inside, so every call of `main()` has its own. */
export function buildProgram(): Command {
  const program = new Command('concordmq')
    .description('ConcordMQ, a decentralized MQTT broker')
    .version(programVersion(), '--version', 'print the version')
    // Flags before the command are the program's, after it the command's: `pub -V 5` is not a question for the version.
    .enablePositionalOptions()
    .showHelpAfterError("(add --help for usage, or see 'concordmq --help')")
    .configureOutput({ outputError: (text, write) => write(withoutValues(text)) })
  addRun(program)
  addDev(program)
  addAddressBook(program)
  addUser(program)
  addConfig(program)
  addPub(program)
  addSub(program)
  addCompletion(program)
  throwInsteadOfExit(program)
  return program
}

export function programVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown'
}

/** `--secret-keyy=…` must not end up in a log with its value. */
function withoutValues(text: string): string {
  return text.replace(/(unknown option '-[^=']*)=[^']*'/, "$1'")
}

function throwInsteadOfExit(command: Command): void {
  command.exitOverride()
  for (const child of command.commands) throwInsteadOfExit(child)
}
