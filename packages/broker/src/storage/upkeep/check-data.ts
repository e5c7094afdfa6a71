import type { DataReport } from './data-report.ts'
import { examineData } from './examine-data.ts'

/**
 * Reads all that a start would read, and says what is there and what is wrong. Changes nothing. It reads synchronously, so
 * it is for programs that serve nobody meanwhile. Rejects with a `CMQ_DATA_…` error where nothing can be said: a broker
 * has the directory, a newer version or another program wrote it, there are no data.
 *
 * ```ts
 * const { clean, problems } = await checkData('/var/lib/concordmq')
 * ```
 */
export async function checkData(directory: string): Promise<DataReport> {
  const found = await examineData(directory)
  await found.close()
  return found.report
}
