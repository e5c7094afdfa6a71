/** `concordmq config check` and `config show`: what `run` would do with the same arguments, without doing it. */
import type { Command } from 'commander'
import { addConfigurationFlags, configFile, defaultDirectory, givenFlags } from '../config/flags.ts'
import { nodeOf, withNode } from './ctl.ts'

interface ImportFlags {
  readonly outputDir: string
  readonly force?: true
  readonly json?: true
}

export function addConfig(program: Command): void {
  const config = program.command('config').description('check or show the configuration that `run` would use')
  addConfigurationFlags(config.command('check'))
    .description('check the configuration, key, address book, users file and certificates; starts nothing')
    .argument('[DIRECTORY]', 'configuration directory', defaultDirectory)
    .action(async (directory: string, _options, self: Command) => {
      const { checkConfiguration } = await import('../running/check.ts')
      process.stdout.write(await checkConfiguration(sources(directory, self)))
    })
  addConfigurationFlags(config.command('show'))
    .description('print every value in force and where it comes from, secrets hidden')
    .argument('[DIRECTORY]', 'configuration directory', defaultDirectory)
    .option('--json', 'as JSON instead of TOML')
    .action(async (directory: string, options: { readonly json?: true }, self: Command) => {
      const { showConfiguration } = await import('../running/check.ts')
      process.stdout.write(showConfiguration(sources(directory, self), { json: options.json === true }))
    })
  config
    .command('import-mosquitto')
    .description('make a directory from a Mosquitto configuration with its password and ACL files')
    .argument('<FILE>', 'mosquitto.conf')
    .option('-o, --output-dir <DIR>', 'where the files go', defaultDirectory)
    .option('-f, --force', 'replace files that are there')
    .option('--json', 'print the report as JSON')
    .action(async (file: string, options: ImportFlags) => {
      const { importMosquitto, reportText } = await import('../mosquitto/import-mosquitto.ts')
      const report = importMosquitto(file, { directory: options.outputDir, force: options.force === true })
      process.stdout.write(options.json === true ? `${JSON.stringify(report, null, 2)}\n` : reportText(report))
    })
  withNode(config.command('reload'))
    .description('tell a running node to read every file again, as `ctl reload` does')
    .action(async (options: Parameters<typeof nodeOf>[0]) => {
      const { reload } = await import('../ctl/run.ts')
      await reload(nodeOf(options))
    })
}

function sources(directory: string, command: Command) {
  return {
    directory,
    directoryGiven: command.args.length > 0,
    file: configFile(command),
    given: givenFlags(command),
    environment: process.env,
  }
}
