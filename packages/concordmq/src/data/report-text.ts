/** A look at a data directory as text for a person. */
import type { DataProblem, DataReport } from '@concordmq/broker'

export function reportText(report: DataReport): string {
  const { clean, cluster, foreign, tornBytes } = report
  const lines = [
    `${report.directory}: ${clean ? 'whole' : 'DAMAGED'}, ${report.bytes} bytes`,
    `  position ${report.position}, ${new Date(report.timeMs).toISOString()}`,
    `  ${report.sessions} sessions, ${report.subscriptions} subscriptions, ${report.wills} wills`,
    `  ${report.queuedMessages} queued messages; ${report.storedMessages} messages stored for them, ${report.storedBytes} bytes`,
    `  ${report.retained} retained messages, ${report.retainedBytes} bytes`,
    `  log: ${report.logSegments} segments, ${report.logGroups} groups of changes`,
  ]
  if (cluster !== undefined) {
    const { network, genesis, key, segments, records } = cluster
    lines.push(
      `  node ${key} of the network "${network}" with the book ${genesis.slice(0, 16)}`,
      `  consensus log: ${segments} segments, ${records} records${cluster.tornBytes > 0 ? `; harmless: ${cluster.tornBytes} bytes unfinished at its end` : ''}`,
    )
  }
  if (tornBytes > 0) {
    lines.push(
      `  harmless: a crash left ${tornBytes} bytes unfinished at the end of the log; they were never acknowledged`,
    )
  }
  if (foreign.length > 0) lines.push(`  not looked at, for it is no broker's: ${foreign.join(', ')}`)
  const text = `${lines.join('\n')}\n`
  if (clean) return text
  return `${text}${problemLines(report, 'a repair gives up')}Restore a copy, or: concordmq data repair --data-dir ${report.directory}\n`
}

/** One line for each problem, with what it costs. */
export function problemLines({ problems, problemsTotal }: DataReport, lead: string): string {
  const lines = problems.map(
    (problem) => `- ${placeOf(problem)}: ${problem.what}: ${problem.detail}; ${lossOf(problem, lead)}`,
  )
  if (problemsTotal > problems.length) lines.push(`- and ${problemsTotal - problems.length} more`)
  return `${problemsTotal} ${problemsTotal === 1 ? 'problem' : 'problems'}\n${lines.join('\n')}\n`
}

function placeOf({ file, offset }: DataProblem): string {
  return offset === undefined ? file : `${file}, byte ${offset}`
}

function lossOf({ loss }: DataProblem, lead: string): string {
  return loss === '' ? 'a repair loses nothing' : `${lead}: ${loss}`
}
