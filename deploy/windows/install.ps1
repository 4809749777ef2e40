#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Puts the updater of one engine onto this host: its program, its base and who may write there.

.DESCRIPTION
Run in the folder that `make client ARGS="--runtime DIR"` made (build/client/host): it holds the updater and a
Python for it. Doing it again brings the program up to date; base, configuration and engine stay as they are.
Then: enrol (the command is shown at the end), and service.ps1.
#>
param(
    [Parameter(Mandatory)] [string] $Base,
    [Parameter(Mandatory)] [string] $Source,
    [string] $Target = "$env:ProgramFiles\Engineshed"
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$program = Join-Path $Source 'engineshed-client.cmd'
if (-not (Test-Path -LiteralPath $program -PathType Leaf)) {
    throw "$program is not there: -Source names the folder build/client/host that make client made"
}

New-Item -ItemType Directory -Force -Path $Target | Out-Null
Copy-Item -Recurse -Force -Path (Join-Path $Source '*') -Destination $Target

# Identity, journal and staged engines lie below update: nobody but administrators and SYSTEM may touch them.
$update = Join-Path $Base 'update'
New-Item -ItemType Directory -Force -Path $update | Out-Null
& icacls.exe $update /inheritance:r /grant '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' | Out-Null
if ($LASTEXITCODE -ne 0) { throw "icacls could not protect $update" }

$installed = Join-Path $Target 'engineshed-client.cmd'
& $installed --version
if ($LASTEXITCODE -ne 0) { throw "$installed does not start" }
Write-Host "Next: & '$installed' --base '$Base' enrol --product NAME --trusted-root root.json"
