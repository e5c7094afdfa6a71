/** `concordmq demo`: a real cluster of four processes for a minute, with a table to watch and a verdict at the end. */
import { type Command, InvalidArgumentError } from 'commander'

interface DemoFlags {
  readonly rate: number
  readonly seconds: number
}

export function addDemo(program: Command): void {
  program
    .command('demo')
    .description('watch four nodes agree: publishers and subscribers on all of them, one node killed and brought back')
    .option('-r, --rate <N>', 'messages published per second, all nodes together', readCount(1, 20_000), 200)
    .option('-s, --seconds <N>', 'how long messages are published', readCount(6, 3_600), 24)
    .action(async (options: DemoFlags) => {
      const { runDemo } = await import('../demo/demo.ts')
      process.exitCode = await runDemo(options)
    })
}

function readCount(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`It is a whole number from ${min} to ${max}.`)
    }
    return value
  }
}
