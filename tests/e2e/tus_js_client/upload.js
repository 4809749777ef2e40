// Uploads a file by tus-js-client, the client of browsers, and prints where it went: for test_stock_client.py.
// The one argument is JSON: endpoint, file, headers, and optionally chunkSize, uploadUrl, abortAt, terminate.
import fs from 'node:fs'
import * as tus from 'tus-js-client'

const wanted = JSON.parse(process.argv[2])
const seen = { url: null, retries: 0, aborted: false }

const upload = new tus.Upload(fs.createReadStream(wanted.file), {
  endpoint: wanted.endpoint,
  uploadUrl: wanted.uploadUrl ?? null,
  headers: wanted.headers,
  chunkSize: wanted.chunkSize ?? Number.POSITIVE_INFINITY,
  uploadSize: fs.statSync(wanted.file).size,
  retryDelays: [200, 200, 500, 500, 1000, 1000],
  metadata: { filename: 'from-a-browser.zip', filetype: 'application/zip' },
  onShouldRetry(err, attempt, options) {
    seen.retries += 1
    const status = err.originalResponse ? err.originalResponse.getStatus() : 0
    return status === 0 || status >= 500 || status === 409 || status === 423
  },
  onChunkComplete(size, accepted) {
    if (wanted.abortAt && accepted >= wanted.abortAt) {
      seen.aborted = true
      upload.abort(wanted.terminate ?? false).then(() => finish(0))
    }
  },
  onError(err) {
    seen.error = String(err)
    finish(1)
  },
  onSuccess() {
    finish(0)
  },
})

function finish(code) {
  seen.url = upload.url
  process.stdout.write(JSON.stringify(seen) + '\n', () => process.exit(code))
}

upload.start()
