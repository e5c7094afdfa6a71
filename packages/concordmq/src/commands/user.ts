/** `concordmq user add|list|del|generate`: who may log in (row F16). */
import { type Command, Option } from 'commander'
import { defaultDirectory } from '../config/flags.ts'
import { type LogFormat, logFormats } from '../log/entry.ts'

const scramAbout = 'also let the user log in by SCRAM, where the password never leaves the client'

interface UserFlags {
  readonly outputFile: string
  readonly log?: LogFormat
}
interface AddFlags extends UserFlags {
  readonly writeMode: 'append' | 'truncate'
  readonly replace?: true
  readonly scram?: true
}

export function addUser(program: Command): void {
  const user = program.command('user').description('manage the users file')
  withFlags(user.command('add'))
    .description('add a user; asks for what is missing')
    .argument('[NAME]', 'user name')
    .argument('[PASSWORD]', 'password; others can see it in the process list, so better let it be asked for')
    .addOption(
      new Option('-m, --write-mode <MODE>', 'append to the file or replace it')
        .choices(['append', 'truncate'])
        .default('append'),
    )
    .option('--replace', 'give an existing user a new password')
    .option('--scram', scramAbout)
    .action(async (name: string | undefined, password: string | undefined, options: AddFlags) => {
      const { addUserTo } = await import('../users/edit-users.ts')
      const { outputFile, writeMode, log } = options
      await addUserTo(
        { name, password },
        { file: outputFile, writeMode, replace: options.replace === true, scram: options.scram === true, format: log },
      )
    })
  withFlags(user.command('list'))
    .description('print the user names, one a line')
    .action(async ({ outputFile }: UserFlags) => {
      const { listUsers } = await import('../users/edit-users.ts')
      process.stdout.write(listUsers(outputFile))
    })
  withFlags(user.command('del'))
    .description('delete a user')
    .argument('<NAME>', 'user name')
    .action(async (name: string, { outputFile, log }: UserFlags) => {
      const { deleteUserFrom } = await import('../users/edit-users.ts')
      await deleteUserFrom(name, { file: outputFile, format: log })
    })
  user
    .command('generate')
    .description('print a record for a users file; the password is the argument or the first line of standard input')
    .argument('<NAME>', 'user name')
    .argument('[PASSWORD]', 'password; others can see it in the process list')
    .option('--scram', scramAbout)
    .addOption(new Option('-l, --log <FORMAT>', 'report in log lines of this format').choices(logFormats))
    .action(
      async (
        name: string,
        password: string | undefined,
        options: { readonly scram?: true; readonly log?: LogFormat },
      ) => {
        const { generateUser } = await import('../users/edit-users.ts')
        const { scram, log } = options
        process.stdout.write(await generateUser(name, password, { scram: scram === true, format: log }))
      },
    )
}

function withFlags(command: Command): Command {
  return command
    .option(
      '-O, --output-file <FILE>',
      'the users file; "-" is standard output for add',
      `${defaultDirectory}/users.toml`,
    )
    .addOption(new Option('-l, --log <FORMAT>', 'report in log lines of this format').choices(logFormats))
}
