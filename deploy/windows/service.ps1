#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Lets the updater of one engine run from the start of this host on: install, remove or show.

.DESCRIPTION
The updater is a task of the task scheduler, which runs as SYSTEM and is started again when it ends. It is no
Windows service: Python would need a program between itself and the service manager. The engine's own service is
left as it is; name it in update\updater.toml by supervisor = "windows" and service = "NAME" below [engine].
#>
param(
    [Parameter(Mandatory)] [ValidateSet('install', 'remove', 'show')] [string] $Do,
    [Parameter(Mandatory)] [string] $Base,
    [string] $Name = 'Engineshed updater',
    [string] $Target = "$env:ProgramFiles\Engineshed"
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

if ($Do -eq 'show') {
    Get-ScheduledTask -TaskName $Name | Select-Object TaskName, State
    Get-ScheduledTaskInfo -TaskName $Name | Select-Object LastRunTime, LastTaskResult
    return
}
if ($Do -eq 'remove') {
    # The engine goes on, and an update under way goes on when the updater is started again.
    Stop-ScheduledTask -TaskName $Name
    Unregister-ScheduledTask -TaskName $Name -Confirm:$false
    return
}

$program = Join-Path $Target 'engineshed-client.cmd'
& $program --base $Base status --quiet
if ($LASTEXITCODE -eq 78) { throw "the configuration of $Base has faults: engineshed-client status tells them" }

$action = New-ScheduledTaskAction -Execute $program -Argument "--base `"$Base`" run" -WorkingDirectory $env:SystemRoot
$atStart = New-ScheduledTaskTrigger -AtStartup
# A task that ended well is not started again by its settings: this trigger does, and is ignored while it runs.
$again = New-ScheduledTaskTrigger -Once -At (Get-Date) -RepetitionInterval (New-TimeSpan -Minutes 5)
$system = New-ScheduledTaskPrincipal -UserId 'S-1-5-18' -LogonType ServiceAccount -RunLevel Highest
$settings = New-ScheduledTaskSettingsSet -MultipleInstances IgnoreNew -StartWhenAvailable `
    -ExecutionTimeLimit ([TimeSpan]::Zero) -RestartCount 999 -RestartInterval (New-TimeSpan -Minutes 1) `
    -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries
Register-ScheduledTask -Force -TaskName $Name -Action $action -Trigger $atStart, $again `
    -Principal $system -Settings $settings | Out-Null
Start-ScheduledTask -TaskName $Name
Write-Host "$Name runs; its log: $Base\update\work\logs\update.log"
